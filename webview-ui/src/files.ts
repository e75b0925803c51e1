/** The files that a run has left: their names and sizes, and the images among them. */
import type { ToPage } from '../../extension/src/console/messages.ts';
import { el, icon, iconButton, textButton } from './dom.ts';
import { size } from './format.ts';
import { post, remember, remembered } from './host.ts';
import { number, t } from './l10n.ts';
import type { TabView } from './tab.ts';

type Contents = Extract<ToPage, { type: 'file' }>;

const IMAGE = /\.(?:png|jpe?g|gif|webp|svg)$/i;
/** Shown without being asked for: so many, so large. */
const MAX_IMAGES = 12;
const MAX_IMAGE_BYTES = 8 * 1024 * 1024;

export class Files {
  readonly element = el('section', { class: 'files', hidden: true });
  readonly #list = el('ul', { id: 'files-list' });
  readonly #images = el('div', { class: 'images' });
  readonly #heading: HTMLButtonElement;
  readonly #body: HTMLElement;
  readonly #previews = new Map<string, HTMLButtonElement>();
  /** What is shown, so that nothing is asked for twice. */
  #shown = '';
  #run: number | undefined;

  constructor() {
    this.#heading = textButton('', 'pane-header', () => this.#open(!this.#isOpen));
    this.#heading.setAttribute('aria-controls', 'files-body');
    this.#body = el('div', { class: 'files-body', id: 'files-body' }, this.#list, this.#images);
    this.element.append(this.#heading, this.#body);
    this.#body.hidden = !remembered().filesOpen;
  }

  show(tab: TabView | undefined): void {
    const files = tab?.run.files ?? [];
    const shown = JSON.stringify([tab?.run.id, files]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#run = tab?.run.id;
    this.#forgetImages();
    this.element.hidden = files.length === 0;
    this.#list.replaceChildren(...files.map(({ path, sizeBytes }) => this.#file(path, sizeBytes)));
    this.#label(files.length);
    const images = files.filter(({ path, sizeBytes }) => IMAGE.test(path) && sizeBytes <= MAX_IMAGE_BYTES);
    for (const { path } of images.slice(0, MAX_IMAGES)) this.#expect(path);
  }

  received({ run, path, mediaType, data }: Contents): void {
    const preview = this.#previews.get(path);
    if (run !== this.#run || !preview || mediaType === null || !mediaType.startsWith('image/')) return;
    const url = URL.createObjectURL(new Blob([new Uint8Array(data)], { type: mediaType }));
    const image = el('img', { src: url, alt: path });
    image.addEventListener('load', () => URL.revokeObjectURL(url), { once: true });
    image.addEventListener('error', () => this.failed(run, path, t('This is not an image.')), { once: true });
    preview.replaceChildren(image);
    preview.hidden = false;
  }

  failed(run: number, path: string, message: string): void {
    const preview = this.#previews.get(path);
    if (run !== this.#run || !preview) return;
    preview.replaceChildren(icon('warning', 'tone-warning'), `${path}: ${message}`);
    preview.hidden = false;
  }

  #file(path: string, sizeBytes: number): HTMLElement {
    const ofRun = (type: 'openProduced' | 'saveFile') => () =>
      this.#run !== undefined && post({ type, run: this.#run, path });
    const name = textButton(path, 'link', ofRun('openProduced'));
    name.title = t('Open {0}', path);
    const save = iconButton('desktop-download', t('Save {0}…', path), ofRun('saveFile'));
    save.classList.add('of-row');
    return el(
      'li',
      {},
      icon(IMAGE.test(path) ? 'file-media' : 'file'),
      name,
      el('span', { class: 'measure' }, size(sizeBytes)),
      save,
    );
  }

  #expect(path: string): void {
    if (this.#run === undefined) return;
    const run = this.#run;
    const preview = el('button', { type: 'button', class: 'preview', title: t('Open {0}', path), hidden: true });
    preview.addEventListener('click', () => post({ type: 'openProduced', run, path }));
    this.#previews.set(path, preview);
    this.#images.append(preview);
    post({ type: 'file', run, path });
  }

  #forgetImages(): void {
    this.#previews.clear();
    this.#images.replaceChildren();
  }

  get #isOpen(): boolean {
    return !this.#body.hidden;
  }

  #open(open: boolean): void {
    this.#body.hidden = !open;
    remember({ filesOpen: open });
    this.#label(this.#list.childElementCount);
  }

  #label(count: number): void {
    const open = this.#isOpen;
    this.#heading.setAttribute('aria-expanded', String(open));
    this.#heading.replaceChildren(
      icon(open ? 'chevron-down' : 'chevron-right'),
      count === 1 ? t('1 file produced') : t('{0} files produced', number(count)),
    );
  }
}
