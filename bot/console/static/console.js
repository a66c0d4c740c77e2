// What the console does beyond plain pages: live clocks, drafts, a title that counts, a sound for what is urgent.
(function () {
  'use strict';

  function lasting(milliseconds) {
    var minutes = Math.floor(Math.abs(milliseconds) / 60000);
    var days = Math.floor(minutes / 1440), hours = Math.floor(minutes / 60) % 24;
    minutes = minutes % 60;
    if (days) return days + '天' + (hours ? hours + '小时' : '');
    if (hours) return hours + '小时' + (minutes ? minutes + '分钟' : '');
    return minutes ? minutes + '分钟' : '不到1分钟';
  }

  // The server's clock decides what is late; only the words between two answers of the server are ours.
  function tick() {
    document.querySelectorAll('time[data-since], time[data-due]').forEach(function (time) {
      time.textContent = lasting(Date.now() - Date.parse(time.dateTime));
    });
  }

  function remember(key, value) { try { sessionStorage.setItem(key, value); } catch (error) { /* private mode */ } }
  function recall(key) { try { return sessionStorage.getItem(key); } catch (error) { return null; } }

  function restoreDrafts(root) {
    root.querySelectorAll('textarea[data-draft]').forEach(function (area) {
      var kept = recall(area.dataset.draft);
      if (kept && !area.value) area.value = kept;
    });
  }

  var title = document.title;
  var heard = null;
  var ringing = recall('sound') === 'on';
  var audio = null;

  function beep() {
    var Context = window.AudioContext || window.webkitAudioContext;
    if (!ringing || !Context) return;
    audio = audio || new Context();
    audio.resume();
    [0, 0.25].forEach(function (delay) {
      var tone = audio.createOscillator(), volume = audio.createGain(), start = audio.currentTime + delay;
      tone.frequency.value = 880;
      volume.gain.setValueAtTime(0.2, start);
      volume.gain.exponentialRampToValueAtTime(0.001, start + 0.2);
      tone.connect(volume).connect(audio.destination);
      tone.start(start);
      tone.stop(start + 0.2);
    });
  }

  function count() {
    var queue = document.getElementById('queue');
    if (!queue) return;
    var waiting = Number(queue.dataset.waiting);
    document.title = (waiting ? '(' + waiting + ') ' : '') + title;
    var urgent = Array.prototype.map.call(queue.querySelectorAll('[data-urgent]'), function (row) {
      return row.dataset.urgent;
    });
    if (heard && urgent.some(function (number) { return heard.indexOf(number) < 0; })) beep();
    heard = urgent;
  }

  // The newest words are in sight, unless somebody is reading further up.
  var talkTop = null;

  function noteTalk() {
    var talk = document.getElementById('talk');
    if (!talk) return;
    talkTop = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60 ? null : talk.scrollTop;
  }

  function keepTalk() {
    var talk = document.getElementById('talk');
    if (talk) talk.scrollTop = talkTop === null ? talk.scrollHeight : talkTop;
  }

  function showSound(button) {
    button.hidden = false;
    button.textContent = '提示音：' + (ringing ? '开' : '关');
    button.setAttribute('aria-pressed', String(ringing));
  }

  document.addEventListener('DOMContentLoaded', function () {
    var button = document.getElementById('sound'), lost = document.getElementById('lost');
    showSound(button);
    button.addEventListener('click', function () {
      ringing = !ringing;
      remember('sound', ringing ? 'on' : 'off');
      showSound(button);
      beep();
    });
    document.body.addEventListener('htmx:afterSettle', function () {
      tick();
      count();
      restoreDrafts(document);
      keepTalk();
    });
    document.body.addEventListener('htmx:beforeSwap', noteTalk);
    document.body.addEventListener('htmx:sseError', function () { lost.hidden = false; });
    document.body.addEventListener('htmx:sseOpen', function () { lost.hidden = true; });
    tick();
    count();
    restoreDrafts(document);
    keepTalk();
    setInterval(tick, 20000);
  });

  document.addEventListener('input', function (event) {
    if (event.target.dataset.draft) remember(event.target.dataset.draft, event.target.value);
  });

  document.addEventListener('submit', function (event) {
    var form = event.target, area = form.querySelector('textarea[data-draft]');
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = 'yes';
    if (area) remember(area.dataset.draft, '');
  });

  // Back from the browser's memory of pages: the forms are fresh again.
  window.addEventListener('pageshow', function (event) {
    if (!event.persisted) return;
    document.querySelectorAll('form[data-sent]').forEach(function (form) { delete form.dataset.sent; });
  });
})();
