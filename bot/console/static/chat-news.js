// What has not been read yet: in the title of the page, and on the button of the site that shows us in a frame.
(function () {
  'use strict';

  const SEEN = 'hotline.seen', title = document.title, site = document.body.dataset.site || '';
  const embedded = document.body.dataset.embed === '1', ids = [];
  let shown = !embedded;     // whether the site has our frame open
  let answered = !embedded;  // whether the site has told us so
  let seen = kept();

  function kept() {
    // In a frame the site keeps it for us: our own store may be closed there.
    try { return (!embedded && localStorage.getItem(SEEN)) || ''; } catch (error) { return ''; }
  }

  // Ids are ordered by time.
  function heard(id) { ids.push(id); }

  function drawn() {
    if (shown && !document.hidden) {
      const last = ids.reduce((late, id) => (id > late ? id : late), seen);
      if (last !== seen) {
        seen = last;
        if (embedded) tell({ kind: 'seen', id: seen });
        else try { localStorage.setItem(SEEN, seen); } catch (error) { /* this page only */ }
      }
    }
    const count = ids.filter((id) => id > seen).length;
    document.title = (count ? '(' + count + ') ' : '') + title;
    if (answered) tell({ kind: 'unread', count });
  }

  function tell(facts) {
    if (embedded && site) window.parent.postMessage(Object.assign({ from: 'hotline-chat' }, facts), site);
  }

  window.addEventListener('message', (event) => {
    if (!embedded || event.source !== window.parent || event.origin !== site) return;
    if (!event.data || event.data.from !== 'hotline-widget') return;
    const opened = event.data.open === true && !shown;
    shown = event.data.open === true;
    answered = true;
    if (typeof event.data.seen === 'string' && event.data.seen > seen) seen = event.data.seen;
    drawn();
    if (opened) document.getElementById('text').focus({ preventScroll: true });
  });
  window.addEventListener('storage', (event) => {
    if (event.key === SEEN && event.newValue > seen) { seen = event.newValue; drawn(); }
  });
  document.addEventListener('visibilitychange', drawn);

  const close = document.getElementById('close');
  if (close) close.addEventListener('click', () => tell({ kind: 'close' }));
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !event.defaultPrevented) tell({ kind: 'close' });
  });
  window.hotlineNews = { heard, drawn };
  tell({ kind: 'ready' });
})();
