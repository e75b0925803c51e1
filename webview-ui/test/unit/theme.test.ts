import assert from 'node:assert/strict';
import { contrastOf, searchColors, themeOf } from '../../src/theme.ts';

const read = (colors: Record<string, string>) => (name: string) => colors[name] ?? '';

describe("The terminal's colours", () => {
  it('are those of the editor’s own terminal, else of the panel', () => {
    const theme = themeOf(
      read({ 'panel-background': '#111111', 'editor-foreground': '#eeeeee', 'terminal-ansiRed': 'red' }),
    );
    assert.deepEqual(theme, {
      background: '#111111',
      foreground: '#eeeeee',
      cursor: '#eeeeee',
      cursorAccent: '#111111',
      red: 'red',
    });
  });

  it('mark matches opaquely, whichever way the theme writes its colours', () => {
    const colors = searchColors(
      read({
        'terminal-background': '#000',
        'terminal-findMatchBackground': 'rgba(200, 100, 0, 0.5)',
        'terminal-findMatchHighlightBackground': '#ffffff80',
      }),
    );
    assert.equal(colors.activeMatchBackground, '#643200');
    assert.equal(colors.matchBackground, '#808080');
    assert.equal(colors.matchBorder, undefined);
  });

  it('mark matches with borders in high contrast', () => {
    const colors = searchColors(read({ contrastActiveBorder: '#f38518' }));
    assert.deepEqual(
      [colors.matchBorder, colors.activeMatchBorder, colors.matchBackground],
      ['#f38518', '#f38518', undefined],
    );
  });

  it('keep text readable', () => {
    assert.equal(contrastOf('vscode-dark'), 4.5);
    assert.equal(contrastOf('vscode-high-contrast-light vscode-high-contrast'), 7);
  });
});
