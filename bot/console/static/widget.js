// The chat on another site: <script src="https://…/widget.js" data-label="职工热线" data-side="right" defer></script>
// Draws one button; the first click opens our page in a frame. Nothing is loaded or kept before that click but this file.
(function () {
  'use strict';

  var script = document.currentScript;
  if (!script || window.hotlineWidget) return;
  window.hotlineWidget = true;
  var base = new URL(script.src).origin, USED = 'hotline.used', SEEN = 'hotline.seen', OPEN = 'hotline.open', PATIENCE = 15000;
  var label = script.getAttribute('data-label') || '职工热线';
  var side = script.getAttribute('data-side') === 'left' ? 'left' : 'right';
  var frame = null, ready = false, refused = false, open = false, unread = 0, narrow = window.matchMedia('(max-width: 520px), (max-height: 560px)');

  function recall(store, name) { try { return window[store].getItem(name); } catch (error) { return null; } }
  function remember(store, name, value) { try { window[store].setItem(name, value); } catch (error) { /* not kept */ } }

  // Styles are set one by one on elements in a shadow tree: the site's style sheets and its policy leave them alone.
  function made(tag, styles, text) {
    var element = document.createElement(tag);
    style(element, styles);
    if (text) element.textContent = text;
    return element;
  }
  function style(element, styles) {
    Object.keys(styles).forEach(function (name) { element.style.setProperty(name, styles[name]); });
  }

  var FONT = '600 16px/1.2 system-ui, -apple-system, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif';
  var host = made('div', { all: 'initial', position: 'fixed', 'z-index': '2147483000', bottom: '0', width: '0', height: '0' });
  host.style.setProperty(side, '0');
  host.id = 'hotline-widget';
  var root = host.attachShadow({ mode: 'open' });
  var button = made('button', {
    position: 'fixed', bottom: '20px', display: 'flex', 'align-items': 'center', 'min-height': '48px', padding: '0 20px',
    border: '0', 'border-radius': '24px', background: '#a8201a', color: '#fff', font: FONT, cursor: 'pointer',
    'box-shadow': '0 2px 10px rgba(0,0,0,.3)', margin: '0',
  }, label);
  button.type = 'button';
  button.style.setProperty(side, '20px');
  var badge = made('span', {
    position: 'absolute', top: '-6px', right: '-4px', 'min-width': '22px', height: '22px', padding: '0 6px', 'box-sizing': 'border-box',
    'border-radius': '11px', background: '#fff', color: '#a8201a', border: '2px solid #a8201a', font: '700 13px/18px system-ui, sans-serif',
    display: 'none', 'text-align': 'center',
  });
  badge.setAttribute('aria-hidden', 'true');
  button.append(badge);
  var box = made('div', { position: 'fixed', display: 'none', background: '#fff', overflow: 'hidden' });
  var trouble = made('p', { display: 'none', margin: '0', padding: '24px 20px', font: FONT, color: '#1c1f23' }, '在这里没能打开。');
  var way = made('a', { color: '#1a5799' }, '点这里打开聊天');
  way.href = base + '/chat';
  way.target = '_blank';
  way.rel = 'noopener';
  trouble.append(way);
  box.append(trouble);
  root.append(button, box);

  function layout() {
    var all = { 'border-radius': '0', 'box-shadow': 'none', top: '0', right: '0', bottom: '0', left: '0', width: 'auto', height: 'auto' };
    var corner = {
      'border-radius': '14px', 'box-shadow': '0 6px 30px rgba(0,0,0,.3)', top: 'auto', bottom: '80px',
      width: 'min(400px, calc(100% - 40px))', height: refused ? 'auto' : 'min(640px, calc(100% - 100px))', left: side === 'left' ? '20px' : 'auto', right: side === 'right' ? '20px' : 'auto',
    };
    var covers = narrow.matches && ready;
    style(box, covers ? all : corner);
    box.style.setProperty('display', open ? 'block' : 'none');
    // On a phone the open chat covers the page and has a button of its own to close it.
    button.style.setProperty('display', open && covers ? 'none' : 'flex');
  }

  function draw() {
    layout();
    badge.textContent = unread > 99 ? '99+' : String(unread);
    badge.style.setProperty('display', unread && !open ? 'block' : 'none');
    button.setAttribute('aria-expanded', String(open));
    button.setAttribute('aria-label', open ? '收起' + label : unread ? label + '，' + unread + '条新消息' : label);
  }

  function load() {
    if (frame) return;
    frame = made('iframe', { display: 'block', width: '100%', height: '100%', border: '0', background: '#fff' });
    frame.title = label;
    frame.src = base + '/chat?embed=1&site=' + encodeURIComponent(location.origin);
    box.append(frame);
    // A site that is not on our list gets an empty frame from the browser: then there is still the page itself.
    setTimeout(giveUp, PATIENCE);
    frame.addEventListener('load', function () { setTimeout(giveUp, 3000); });
  }

  function giveUp() {
    if (ready) return;
    refused = true;
    draw();
    frame.style.setProperty('display', 'none');
    trouble.style.setProperty('display', 'block');
  }

  function say() {
    if (ready) frame.contentWindow.postMessage({ from: 'hotline-widget', open: open, seen: recall('localStorage', SEEN) || '' }, base);
  }

  function turn(yes) {
    open = yes;
    remember('sessionStorage', OPEN, yes ? '1' : '');
    if (yes) {
      remember('localStorage', USED, '1');
      load();
    }
    draw();
    say();
    if (!yes) button.focus({ preventScroll: true });
  }

  button.addEventListener('click', function () { turn(!open); });
  document.addEventListener('keydown', function (event) { if (event.key === 'Escape' && open) turn(false); });
  if (narrow.addEventListener) narrow.addEventListener('change', draw);
  else narrow.addListener(draw);
  window.addEventListener('message', function (event) {
    if (!frame || event.origin !== base || event.source !== frame.contentWindow) return;
    var told = event.data;
    if (!told || told.from !== 'hotline-chat') return;
    if (told.kind === 'close' && open) turn(false);
    if (told.kind === 'seen') remember('localStorage', SEEN, String(told.id));
    if (told.kind === 'unread') unread = Math.max(0, told.count | 0);
    if (told.kind === 'ready') {
      ready = true;
      refused = false;
      frame.style.setProperty('display', 'block');
      trouble.style.setProperty('display', 'none');
      say();
    }
    draw();
  });

  function begin() {
    document.body.append(host);
    draw();
    // Whoever has talked to us from this site sees by the button when an answer comes, and finds the chat as they left it.
    if (recall('localStorage', USED)) load();
    if (recall('sessionStorage', OPEN) && !narrow.matches) turn(true);
  }
  if (document.body) begin();
  else document.addEventListener('DOMContentLoaded', begin);
})();
