// Behind the plus: a photo, a file, and the way to go on with this talk on another device.
(function () {
  'use strict';

  const $ = (id) => document.getElementById(id), wire = window.hotlineWire, chat = window.hotlineChat;
  const menu = $('menu'), plus = $('plus'), sheet = $('sheet');
  let back = null;           // what had the focus before the sheet came up

  function open(yes) {
    menu.hidden = !yes;
    plus.setAttribute('aria-expanded', String(yes));
  }
  plus.addEventListener('click', () => open(menu.hidden));

  // ---- files

  ['camera', 'pick'].forEach((id) => {
    const input = $(id);
    document.querySelector('[data-for="' + id + '"]').addEventListener('click', () => input.click());
    input.addEventListener('change', () => {
      Array.from(input.files).slice(0, 9).forEach(chat.attach);
      input.value = '';
      open(false);
    });
  });
  ['dragover', 'drop'].forEach((name) => document.addEventListener(name, (event) => {
    if (!event.dataTransfer || !Array.from(event.dataTransfer.types).includes('Files')) return;
    event.preventDefault();
    if (name === 'drop') Array.from(event.dataTransfer.files).slice(0, 9).forEach(chat.attach);
  }));
  $('text').addEventListener('paste', (event) => {
    const files = Array.from((event.clipboardData && event.clipboardData.files) || []);
    if (!files.length) return;
    event.preventDefault();
    files.slice(0, 9).forEach(chat.attach);
  });

  // ---- another device

  function show(part) {
    back = document.activeElement;
    ['give', 'take'].forEach((id) => { $(id).hidden = id !== part; });
    sheet.hidden = false;
    open(false);
    (part === 'take' ? $('code') : $('shut')).focus();
  }
  function shut() {
    sheet.hidden = true;
    if (back) back.focus();
  }
  $('shut').addEventListener('click', shut);
  sheet.addEventListener('click', (event) => { if (event.target === sheet) shut(); });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || (sheet.hidden && menu.hidden)) return;
    event.preventDefault();
    if (!sheet.hidden) shut();
    open(false);
  }, true);

  // While the sheet is up, Tab stays in it.
  sheet.addEventListener('keydown', (event) => {
    if (event.key !== 'Tab') return;
    const stops = Array.from(sheet.querySelectorAll('button, input')).filter((each) => each.offsetParent && !each.disabled);
    const end = event.shiftKey ? stops[0] : stops[stops.length - 1];
    if (document.activeElement !== end) return;
    event.preventDefault();
    (event.shiftKey ? stops[stops.length - 1] : stops[0]).focus();
  });

  $('carry').addEventListener('click', async () => {
    const code = $('given'), said = $('give-said');
    code.textContent = '……';
    said.textContent = '';
    $('place').textContent = location.host + '/chat';
    show('give');
    try {
      const told = await wire.signedIn(() => wire.ask('/api/chat/carry', {}));
      code.textContent = told.code.slice(0, 4) + ' ' + told.code.slice(4);
      said.textContent = told.minutes + '分钟内有效，只能用一次。不要给别人看。';
    } catch (error) {
      code.textContent = '';
      said.textContent = error.message || '没连上，请过一会儿再点。';
    }
  });

  $('carried').addEventListener('click', () => {
    $('take-said').textContent = '';
    show('take');
  });
  $('take').addEventListener('submit', async (event) => {
    event.preventDefault();
    const said = $('take-said'), button = $('enter');
    said.textContent = '';
    button.disabled = true;
    try {
      wire.keep((await wire.signedIn(() => wire.ask('/api/chat/carried', { code: $('code').value }))).token);
      location.reload();
    } catch (error) {
      said.textContent = error.message || '没连上，请过一会儿再试。';
      button.disabled = false;
      $('code').focus();
    }
  });
})();
