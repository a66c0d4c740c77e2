// The worker's page. What is typed is kept in the browser until the server has it; the server knows each message by an
// id made here, so sending it again is safe.
(function () {
  'use strict';

  const $ = (id) => document.getElementById(id), wire = window.hotlineWire;
  const news = window.hotlineNews;
  const list = $('messages'), box = $('text'), lost = $('lost'), mode = $('mode'), scroller = $('log');
  const KEPT = 'hotline.unsent', RETRY = [1000, 2000, 4000, 8000, 15000];
  const LOST = '连接断开，正在重连……';
  const FILES = { image: '图片', voice: '语音', video: '视频', file: '文件' };
  const shown = new Set();   // ids of the server's messages on the page
  const mine = new Map();    // our own id -> its element
  let unsent = load();       // [{id, text, option, failed}], or with a file in place of the text
  let last = '', stop = null, broken = false, drops = 0, again = null;
  let sending = false, tries = 0, timer = null;

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEPT));
      return Array.isArray(kept) ? kept : [];
    } catch (error) { return []; }
  }
  function save() {
    try { localStorage.setItem(KEPT, JSON.stringify(unsent.filter((entry) => !entry.file))); } catch (error) { /* private mode: this page only */ }
  }
  // ---- drawing: text goes in as text, never as HTML

  function element(tag, name, text) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function atEnd() { return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 120; }

  function reveal(item) {
    // A long answer is read from its first line.
    if (item.offsetHeight > scroller.clientHeight * 0.8) item.scrollIntoView({ block: 'start' });
    else scroller.scrollTop = scroller.scrollHeight;
  }

  function steps(text) {
    const made = element('ol');
    text.split('\n').forEach((line) => {
      const found = /^\s*\d{1,2}[.、．]\s*(.+)$/.exec(line);
      if (found || !made.lastChild) made.append(element('li', '', found ? found[1] : line));
      else if (line.trim()) made.lastChild.append(document.createElement('br'), line);
    });
    return made;
  }

  const FOLDED = { bring: '带什么', where: '找谁', sources: '依据' };

  function card(parts, tail) {
    const made = element('div', 'bubble card');
    const of = (kinds) => parts.filter((part) => kinds.includes(part.kind));
    of(['conclusion']).forEach((part) => made.append(element('p', 'conclusion', part.text)));
    of(['deadline']).forEach((part) => made.append(element('p', 'deadline', part.text)));
    parts.filter((part) => part.kind === 'step' || part.kind === 'steps' || part.kind === 'note').forEach((part) => {
      if (part.title) made.append(element('h3', '', part.title));
      made.append(part.kind === 'note' ? element('p', part.title ? '' : 'note', part.text) : steps(part.text));
    });
    of(Object.keys(FOLDED)).forEach((part) => {
      const fold = element('details');
      fold.append(element('summary', '', part.title || FOLDED[part.kind]), element('p', '', part.text));
      made.append(fold);
    });
    const known = of(['checked']).map((part) => part.text)[0]
      || (/核对于[^。；]+/.exec(of(['sources']).map((part) => part.text).join('')) || [])[0];
    if (known) made.append(element('p', 'checked', known));
    if (tail) made.append(element('p', 'tail', tail));
    return made;
  }

  function options(choices) {
    const made = element('div', 'options');
    choices.forEach((choice) => {
      const button = element('button', 'option', choice.label);
      button.type = 'button';
      button.addEventListener('click', () => say(choice.label, choice.id));
      made.append(button);
    });
    return made;
  }

  function drawAll(messages, follow) {
    const near = follow || atEnd();
    const drawn = messages.map(draw).filter(Boolean);
    if (!drawn.length) return;
    if (near) reveal(drawn[drawn.length - 1]);
    else $('newer').hidden = false;
    news.drawn();
  }

  // Returns the new element; nothing for a message that is on the page already.
  function draw(message) {
    if (shown.has(message.id)) return null;
    shown.add(message.id);
    if (message.id > last) last = message.id;
    if (message.from === 'worker' && mine.has(message.client_id)) {
      settle(message.client_id);
      return null;
    }
    const item = element('li', 'message ' + message.from);
    const name = { worker: '我', bot: '自动服务', staff: '工会 ' + (message.name || '同事') }[message.from];
    item.append(element('p', 'from', name));
    if (message.card.length) item.append(card(message.card, message.tail));
    else {
      const bubble = element('div', 'bubble');
      if (FILES[message.kind]) bubble.append(element('p', 'file', FILES[message.kind] + ' ' + message.file));
      if (message.text) bubble.append(element('p', '', message.text));
      item.append(bubble);
    }
    if (message.from !== 'worker') news.heard(message.id);
    if (message.prompt) item.append(element('p', 'prompt', message.prompt));
    if (message.options.length) item.append(options(message.options));
    if (message.from === 'worker' && message.client_id) mine.set(message.client_id, item);
    // What is still on its way stays below what the server has.
    const waiting = unsent.map((entry) => mine.get(entry.id)).find((found) => found && found.isConnected);
    list.insertBefore(item, message.from === 'worker' && waiting ? waiting : null);
    return item;
  }

  function drawOwn(entry) {
    const item = element('li', 'message worker'), bubble = element('div', 'bubble');
    if (entry.file) bubble.append(...preview(entry));
    else bubble.append(element('p', '', entry.text));
    item.append(element('p', 'from', '我'), bubble, element('p', 'state', '正在发送'));
    mine.set(entry.id, item);
    list.append(item);
    scroller.scrollTop = scroller.scrollHeight;
  }

  function preview(entry) {
    const file = entry.file, made = [];
    if (/^image\/(jpeg|png|gif|webp)$/.test(file.type)) {
      const picture = element('img', 'preview');
      picture.alt = '要发的图片';
      picture.src = URL.createObjectURL(file);
      picture.addEventListener('load', () => { scroller.scrollTop = scroller.scrollHeight; });
      made.push(picture);
    }
    made.push(element('p', 'file', (file.name || '照片') + '（' + sized(file.size) + '）'));
    const bar = element('progress', 'bar');
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute('aria-label', '发送进度');
    made.push(bar);
    return made;
  }

  function sized(bytes) {
    return bytes < 1048576 ? Math.max(1, Math.round(bytes / 1024)) + ' KB' : (bytes / 1048576).toFixed(1) + ' MB';
  }

  function showProgress(entry, part) {
    const bar = mine.get(entry.id).querySelector('.bar');
    if (bar) bar.value = part;
  }

  function settle(id) {
    const item = mine.get(id), state = item && item.querySelector('.state'), bar = item && item.querySelector('.bar');
    if (state) state.remove();
    if (bar) bar.remove();
    unsent = unsent.filter((entry) => entry.id !== id);
    save();
  }

  function notSent(entry, why) {
    const state = mine.get(entry.id).querySelector('.state');
    if (!state) return;
    const again = element('button', 'retry', '未发出，点此重试');
    again.type = 'button';
    again.addEventListener('click', () => {
      entry.failed = '';
      state.textContent = '正在发送';
      flush();
    });
    state.textContent = why ? why + ' ' : '';
    state.append(again);
  }

  function showMode(now) {
    if (!now) return;
    if (now.mode === 'human') mode.textContent = '同事' + (now.name || '') + '已接手';
    else if (now.ticket) mode.textContent = '工单 ' + now.ticket + ' 已登记，等同事接手';
    else mode.textContent = '自动服务，24小时都在';
  }

  // ---- speaking to the server

  function say(text, option) {
    const clean = text.trim();
    if (!clean) return;
    const entry = { id: wire.newId(), text: clean, option: option || null };
    unsent.push(entry);
    save();
    drawOwn(entry);
    flush();
  }

  // A file lives as long as the page does: there is no room in the browser to keep it.
  function attach(file) {
    const entry = { id: wire.newId(), file };
    unsent.push(entry);
    drawOwn(entry);
    flush();
  }

  function deliver(entry) {
    if (entry.file) return wire.upload(entry.file, entry.id, (part) => showProgress(entry, part));
    const { id, text, option } = entry;
    return wire.signedIn(() => wire.ask('/api/chat/messages', { id, text, option }));
  }

  // One at a time, in the order they were written.
  async function flush() {
    if (sending) return;
    sending = true;
    clearTimeout(timer);
    let entry;
    while ((entry = unsent.find((one) => !one.failed))) {
      try {
        const told = await deliver(entry);
        tries = 0;
        settle(entry.id);
        drawAll(told.messages, true);
        showMode(told.mode);
        listen();
      } catch (error) {
        if (error.status && error.status < 500 && error.status !== 429 && error.status !== 408) {
          // Sending the same again would be refused again: wait for the worker.
          entry.failed = error.message || '没能发出';
          save();
          notSent(entry, entry.failed);
          continue;
        }
        // No connection, or a server in trouble: the message stays, and also goes out by itself later.
        notSent(entry, error.message && error.status ? error.message : '');
        timer = setTimeout(flush, RETRY[Math.min(tries++, RETRY.length - 1)]);
        break;
      }
    }
    sending = false;
  }

  async function catchUp() {
    const told = await wire.signedIn(() => wire.ask('/api/chat/messages'));
    drawAll(told.messages, !shown.size);
    showMode(told.mode);
    return told.messages.length;
  }

  function showLost(why) {
    lost.textContent = why;
    lost.hidden = !why;
  }

  function listen() {
    if (stop) return;
    clearTimeout(again);
    stop = wire.listen(last, {
      open: () => {
        showLost('');
        drops = 0;
        if (broken) catchUp().then(flush, () => {});
        broken = false;
      },
      event: (name, data) => (name === 'mode' ? showMode(data) : drawAll([data], false)),
      closed: () => {
        stop = null;
        // The server ends a stream now and then; only a second failure in a row is worth a word.
        if (drops++) showLost(LOST);
        broken = true;
        again = setTimeout(listen, RETRY[Math.min(drops - 1, RETRY.length - 1)]);
      },
    });
  }

  function wakeUp() {
    if (stop) stop();
    else listen();
    flush();
  }

  async function start() {
    try {
      const count = await catchUp();
      showLost('');
      unsent.filter((entry) => !mine.has(entry.id)).forEach((entry) => {
        drawOwn(entry);
        if (entry.failed) notSent(entry, entry.failed);
      });
      if (count) listen();
      flush();
    } catch (error) {
      showLost(error.status && error.status < 500 && error.message ? error.message : LOST);
      setTimeout(start, 3000);
    }
  }

  // ---- the page

  function grow() {
    box.style.height = 'auto';
    box.style.height = Math.min(box.scrollHeight + 2, 160) + 'px';
  }

  $('write').addEventListener('submit', (event) => {
    event.preventDefault();
    say(box.value);
    box.value = '';
    grow();
    box.focus();
  });
  box.addEventListener('input', grow);
  box.addEventListener('keydown', (event) => {
    // Enter chooses a word while an input method is open.
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
      event.preventDefault();
      $('write').requestSubmit ? $('write').requestSubmit() : $('send').click();
    }
  });
  $('person').addEventListener('click', () => say('人工'));
  $('examples').addEventListener('click', (event) => {
    if (event.target.dataset.say) say(event.target.dataset.say);
  });
  $('newer').addEventListener('click', () => { scroller.scrollTop = scroller.scrollHeight; });
  scroller.addEventListener('scroll', () => { if (atEnd()) $('newer').hidden = true; });
  window.addEventListener('online', wakeUp);
  document.addEventListener('hotline:waiting', () => showLost('现在打开的人多，正在排队，几秒就好……'));
  window.hotlineChat = { say, attach };
  start();
})();
