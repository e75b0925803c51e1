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

/** How the search marks what it finds. xterm.js takes only `#rrggbb` here, and lays the colour beneath the text. */
export function searchColors(value: (name: string) => string): NonNullable<ISearchOptions['decorations']> {
  const match = hex(value('terminal-findMatchHighlightBackground')) ?? '#515c6a';
  const active = hex(value('terminal-findMatchBackground')) ?? '#9e6a03';
  const border = hex(value('terminal-findMatchHighlightBorder'));
  const activeBorder = hex(value('terminal-findMatchBorder'));
  return {
    matchBackground: match,
    activeMatchBackground: active,
    ...(border && { matchBorder: border }),
    ...(activeBorder && { activeMatchBorder: activeBorder }),
    matchOverviewRuler: match,
    activeMatchColorOverviewRuler: active,
  };
}

/** @returns `#rrggbb` without any transparency; undefined where it is no colour in hexadecimal */
function hex(color: string): string | undefined {
  const short = /^#([\da-f])([\da-f])([\da-f])$/i.exec(color);
  if (short)
    return `#${short
      .slice(1)
      .map((digit) => digit + digit)
      .join('')}`;
  return /^#[\da-f]{6}/i.exec(color)?.[0];
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
