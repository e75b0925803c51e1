/**
 * In every frame of the window under test: says when something was pressed there and when something was drawn. Times are milliseconds since
 * 1970 by the monotonic clock, so that those of two frames, and of a program, compare.
 */
{
  const since1970 = (ms) => performance.timeOrigin + ms;
  const pressed = new Map();
  const note = (event) => pressed.set(event.type, since1970(event.timeStamp));
  const listen = () => {
    for (const type of ['pointerup', 'keydown']) addEventListener(type, note, { capture: true });
  };
  listen();

  /** After the frame that shows what has just been changed. */
  const painted = () =>
    new Promise((resolve) => {
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => resolve(since1970(performance.now()));
        port2.postMessage(undefined);
      });
    });

  let expected;
  globalThis.probe = {
    pressed: (type) => pressed.get(type),
    expect(selector, pattern, not) {
      // Again, because VS Code opens a webview's document anew, which forgets who listened.
      listen();
      const expression = new RegExp(pattern);
      expected = new Promise((resolve) => {
        const look = () => {
          const shows = (element) => {
            const text = expression.exec(element.textContent)?.[0];
            // Last, because to know it the page is laid out, which takes the time that is measured.
            return text !== undefined && text !== not && element.offsetParent !== null;
          };
          const found = [...document.querySelectorAll(selector)].find(shows);
          if (!found) return;
          observer.disconnect();
          const text = expression.exec(found.textContent)[0];
          const changed = since1970(performance.now());
          painted().then((at) => resolve({ text, changed, at }));
        };
        const observer = new MutationObserver(look);
        observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
        look();
      });
    },
    drawn: () => expected,
  };
}
