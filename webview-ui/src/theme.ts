/** VS Code's colours for the terminal. The editor sets them as CSS variables, and sets them anew when its theme changes. */

import type { ISearchOptions } from '@xterm/addon-search';
import type { ITheme } from '@xterm/xterm';

/** The colours of xterm.js, and the variables that hold them, the first that is set. */
const COLORS = {
  background: ['terminal-background', 'panel-background', 'editor-background'],
  foreground: ['terminal-foreground', 'editor-foreground', 'foreground'],
  cursor: ['terminalCursor-foreground', 'terminal-foreground', 'editor-foreground'],
  cursorAccent: ['terminalCursor-background', 'terminal-background', 'panel-background'],
  selectionBackground: ['terminal-selectionBackground', 'editor-selectionBackground'],
  selectionInactiveBackground: ['terminal-inactiveSelectionBackground', 'editor-inactiveSelectionBackground'],
  selectionForeground: ['terminal-selectionForeground'],
  scrollbarSliderBackground: ['scrollbarSlider-background'],
  scrollbarSliderHoverBackground: ['scrollbarSlider-hoverBackground'],
  scrollbarSliderActiveBackground: ['scrollbarSlider-activeBackground'],
  black: ['terminal-ansiBlack'],
  red: ['terminal-ansiRed'],
  green: ['terminal-ansiGreen'],
  yellow: ['terminal-ansiYellow'],
  blue: ['terminal-ansiBlue'],
  magenta: ['terminal-ansiMagenta'],
  cyan: ['terminal-ansiCyan'],
  white: ['terminal-ansiWhite'],
  brightBlack: ['terminal-ansiBrightBlack'],
  brightRed: ['terminal-ansiBrightRed'],
  brightGreen: ['terminal-ansiBrightGreen'],
  brightYellow: ['terminal-ansiBrightYellow'],
  brightBlue: ['terminal-ansiBrightBlue'],
  brightMagenta: ['terminal-ansiBrightMagenta'],
  brightCyan: ['terminal-ansiBrightCyan'],
  brightWhite: ['terminal-ansiBrightWhite'],
} satisfies { [K in keyof ITheme]: string[] };

/** @param value reads a CSS variable of VS Code by its name; empty where it is not set */
export function themeOf(value: (name: string) => string): ITheme {
  const theme: ITheme = {};
  for (const [color, names] of Object.entries(COLORS) as [keyof typeof COLORS, string[]][]) {
    const found = names.map(value).find((text) => text !== '');
    if (found !== undefined) theme[color] = found;
  }
  return theme;
}

/** Contrast that the editor's own terminal aims at: 4.5, and 7 where the person asked for high contrast. */
export function contrastOf(bodyClass: string): number {
  return /\bvscode-high-contrast/.test(bodyClass) ? 7 : 4.5;
}

/** How the search marks what it finds. xterm.js takes only `#rrggbb` here, so what is transparent is mixed with the background. */
export function searchColors(value: (name: string) => string): NonNullable<ISearchOptions['decorations']> {
  const background = themeOf(value).background ?? '';
  const color = (name: string) => opaque(value(name), background);
  // High contrast themes draw borders instead of backgrounds.
  const highContrast = color('contrastActiveBorder');
  const match = color('terminal-findMatchHighlightBackground');
  const active = color('terminal-findMatchBackground');
  const matchBorder = color('terminal-findMatchHighlightBorder') ?? highContrast;
  const activeMatchBorder = color('terminal-findMatchBorder') ?? highContrast ?? color('focusBorder');
  return {
    ...(match && { matchBackground: match }),
    ...(active && { activeMatchBackground: active }),
    ...(matchBorder && { matchBorder }),
    ...(activeMatchBorder && { activeMatchBorder }),
    matchOverviewRuler: match ?? matchBorder ?? '#515c6a',
    activeMatchColorOverviewRuler: active ?? activeMatchBorder ?? '#9e6a03',
  };
}

/** @returns `#rrggbb`; undefined where it is no colour, as VS Code writes them */
function opaque(color: string, background: string): string | undefined {
  const [over, under] = [channels(color), channels(background)];
  if (!over) return undefined;
  const mixed = over.rgb.map((channel, index) => channel * over.alpha + (under?.rgb[index] ?? 0) * (1 - over.alpha));
  return `#${mixed.map((channel) => Math.round(channel).toString(16).padStart(2, '0')).join('')}`;
}

/** Reads `#rgb`, `#rrggbb`, `#rrggbbaa`, `rgb(…)` and `rgba(…)`. */
function channels(color: string): { rgb: number[]; alpha: number } | undefined {
  const digits = /^#([\da-f]{3,8})$/i.exec(color)?.[1];
  if (digits) {
    const long = digits.length < 6 ? digits.replace(/./g, '$&$&') : digits;
    const bytes = long.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? [];
    return { rgb: bytes.slice(0, 3), alpha: (bytes[3] ?? 255) / 255 };
  }
  const numbers = /^rgba?\(([\d., ]+)\)$/.exec(color)?.[1]?.split(',').map(Number);
  return numbers && { rgb: numbers.slice(0, 3), alpha: numbers[3] ?? 1 };
}

/** Reads the variables of this page. */
export function cssVariable(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--vscode-${name}`).trim();
}

/** Calls back when VS Code has put another theme on the page. */
export function onThemeChange(listener: () => void): void {
  const observer = new MutationObserver(listener);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['style', 'class'] });
  observer.observe(document.body, { attributes: true, attributeFilter: ['class'] });
}
