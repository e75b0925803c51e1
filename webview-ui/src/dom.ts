/** Elements, built without markup: text is always text. */

type Attributes = Record<string, string | boolean>;

/** @param attributes as in HTML; false leaves one out, true gives it no value */
export function el<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[T] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== false) element.setAttribute(name, value === true ? '' : value);
  element.append(...children);
  return element;
}

/** An icon of VS Code; it says nothing to a screen reader. */
export function icon(name: string, tone = ''): HTMLElement {
  return el('span', { class: `codicon codicon-${name} ${tone}`, 'aria-hidden': 'true' });
}

export function iconButton(name: string, label: string, action: () => void): HTMLButtonElement {
  const button = el('button', { type: 'button', class: 'icon-button', title: label, 'aria-label': label }, icon(name));
  button.addEventListener('click', action);
  return button;
}

export function textButton(label: string, style: string, action: () => void): HTMLButtonElement {
  const button = el('button', { type: 'button', class: style }, label);
  button.addEventListener('click', action);
  return button;
}

/** Makes several controls one stop of the Tab key, within which the arrow keys move (WAI-ARIA: roving tabindex). */
export function roving(container: HTMLElement, selector: string): void {
  const controls = () => [...container.querySelectorAll<HTMLElement>(selector)].filter((control) => !control.hidden);
  container.addEventListener('keydown', (event) => {
    const all = controls();
    const at = all.indexOf(document.activeElement as HTMLElement);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    all.at(next % all.length)?.focus();
  });
  container.addEventListener('focusin', ({ target }) => {
    for (const control of controls()) control.tabIndex = control === target ? 0 : -1;
  });
}
