// How the worker's page speaks to the server: who we are, one request at a time, files, and the stream of news.
// In a frame on another site browsers treat us as a stranger: we keep the signed session ourselves and show it in a
// header; where even that is forbidden, a cookie that belongs to this frame on this site; at worst it lasts as long as the page.
(function () {
  'use strict';

  const embedded = document.body.dataset.embed === '1';
  const KEPT = 'hotline.session', MONTH = 30 * 24 * 3600 * 1000, SILENCE = 45000;
  let way = embedded ? (storable() ? 'store' : 'cookie') : 'page';
  let token = way === 'store' ? kept() : '';
  let beginning = null;

  function storable() {
    try { localStorage.setItem('hotline.try', '1'); localStorage.removeItem('hotline.try'); return true; } catch (error) { return false; }
  }

  function kept() {
    try {
      const found = JSON.parse(localStorage.getItem(KEPT));
      return found && Date.now() - found.at < MONTH ? String(found.token) : '';
    } catch (error) { return ''; }
  }

  function keep(given) {
    if (!given) return;
    token = given;
    if (way === 'store') localStorage.setItem(KEPT, JSON.stringify({ token, at: Date.now() }));
  }

  function headers(more) {
    const shown = { store: token || 'new', memory: token || 'new', cookie: 'kept' }[way];
    return Object.assign(shown ? { 'X-Hotline-Session': shown } : {}, more);
  }

  async function ask(path, body) {
    const asked = { method: body ? 'POST' : 'GET', credentials: 'same-origin', headers: headers() };
    if (body) {
      asked.headers['Content-Type'] = 'application/json';
      asked.body = JSON.stringify(body);
    }
    const answer = await fetch(path, asked);
    let told = {};
    try { told = await answer.json(); } catch (error) { /* a proxy's page */ }
    if (answer.ok) return told;
    throw trouble(answer.status, told);
  }

  function trouble(status, told) {
    const made = new Error(told.error || '');
    made.status = status;
    made.told = told;
    return made;
  }

  // ---- a session; in a rush the server asks for a little work first

  function begin() {
    beginning = beginning || admitted().finally(() => { beginning = null; });
    return beginning;
  }

  async function admitted() {
    let proof = null;
    for (let tries = 0; ; tries++) {
      try {
        keep((await ask('/api/chat/session', proof ? { proof } : {})).token);
        return;
      } catch (error) {
        if (error.status !== 428 || tries > 2) throw error;
        document.dispatchEvent(new CustomEvent('hotline:waiting'));
        proof = await solve(error.told.puzzle);
      }
    }
  }

  async function signedIn(work) {
    for (let tries = 0; ; tries++) {
      try {
        return await work();
      } catch (error) {
        if (error.status !== 401 || tries > 1) throw error;
        // The cookie was not taken: then at least for as long as this page is open.
        if (tries && way === 'cookie') way = 'memory';
        await begin();
      }
    }
  }

  async function solve(puzzle) {
    for (let nonce = 0; ;) {
      const until = Date.now() + 40;
      while (Date.now() < until) {
        for (let each = 0; each < 200; each++, nonce++) {
          if (zeros(puzzle.seed + ':' + nonce) >= puzzle.bits) return { seed: puzzle.seed, nonce: String(nonce) };
        }
      }
      await new Promise((go) => setTimeout(go, 0));
    }
  }

  // SHA-256 of one block (at most 55 ASCII signs): crypto.subtle is not there on pages without https.
  const ROUNDS = constants(64, 1 / 3), START = constants(8, 1 / 2), words = new Int32Array(64);

  function constants(count, power) {
    const found = new Int32Array(count);
    for (let number = 2, at = 0; at < count; number++) {
      let prime = true;
      for (let by = 2; by * by <= number; by++) if (number % by === 0) { prime = false; break; }
      if (prime) { const root = Math.pow(number, power); found[at++] = (root - Math.floor(root)) * 4294967296; }
    }
    return found;
  }

  function zeros(text) {
    words.fill(0);
    for (let at = 0; at < text.length; at++) words[at >> 2] |= text.charCodeAt(at) << (24 - 8 * (at & 3));
    words[text.length >> 2] |= 0x80 << (24 - 8 * (text.length & 3));
    words[15] = text.length * 8;
    for (let at = 16; at < 64; at++) {
      const x = words[at - 15], y = words[at - 2];
      const s0 = (x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ (x >>> 3);
      const s1 = (y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ (y >>> 10);
      words[at] = words[at - 16] + s0 + words[at - 7] + s1 | 0;
    }
    let [a, b, c, d, e, f, g, h] = START;
    for (let at = 0; at < 64; at++) {
      const s1 = (e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7);
      const t1 = h + s1 + ((e & f) ^ (~e & g)) + ROUNDS[at] + words[at] | 0;
      const s0 = (a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10);
      const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c)) | 0;
      h = g; g = f; f = e; e = d + t1 | 0; d = c; c = b; b = a; a = t1 + t2 | 0;
    }
    return Math.clz32(a + START[0] | 0);
  }

  // ---- files: the one request whose progress can be seen

  function upload(file, id, progress) {
    return signedIn(() => new Promise((good, bad) => {
      const form = new FormData(), request = new XMLHttpRequest();
      form.append('id', id);
      form.append('file', file, file.name || '照片.jpg');
      request.open('POST', '/api/chat/uploads');
      Object.entries(headers()).forEach(([name, value]) => request.setRequestHeader(name, value));
      request.upload.addEventListener('progress', (event) => {
        if (event.lengthComputable) progress(event.loaded / event.total);
      });
      request.addEventListener('load', () => {
        let told = {};
        try { told = JSON.parse(request.responseText); } catch (error) { /* a proxy's page */ }
        if (request.status >= 200 && request.status < 300) good(told);
        else bad(trouble(request.status, told));
      });
      ['error', 'timeout', 'abort'].forEach((name) => request.addEventListener(name, () => bad(trouble(0, {}))));
      request.send(form);
    }));
  }

  // ---- the stream: `on.open`, `on.event(name, data)`, and `on.closed(ended)` once, whatever ends it

  function listen(after, on) {
    const stop = new AbortController();
    let watch = 0;
    const alive = () => { clearTimeout(watch); watch = setTimeout(() => stop.abort(), SILENCE); };
    (async () => {
      alive();
      const answer = await fetch('/api/chat/stream' + (after ? '?after=' + after : ''), {
        credentials: 'same-origin', cache: 'no-store', signal: stop.signal, headers: headers({ Accept: 'text/event-stream' }),
      });
      if (!answer.ok) throw trouble(answer.status, {});
      if (answer.status === 204) return;
      on.open();
      const reader = answer.body.getReader(), decoder = new TextDecoder();
      let waiting = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        alive();
        const events = (waiting + decoder.decode(value, { stream: true })).split('\n\n');
        waiting = events.pop();
        events.forEach((event) => {
          const name = /^event: (.*)$/m.exec(event), data = /^data: (.*)$/m.exec(event);
          if (data) on.event(name ? name[1] : 'message', JSON.parse(data[1]));
        });
      }
    })().catch(() => {}).then(() => { clearTimeout(watch); on.closed(); });
    return () => stop.abort();
  }

  function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }

  window.hotlineWire = { embedded, ask, begin, signedIn, upload, listen, keep, newId, zeros };
})();
