/** The page's texts in the language of the window. The extension brings the translations, by their English text. */

let translations: Record<string, string> = {};
let locale = 'en';

export function setLanguage(language: string, strings: Record<string, string>): void {
  translations = strings;
  // A display language is a locale's name in all but a few cases ("qps-ploc", for testing).
  locale = Intl.NumberFormat.supportedLocalesOf(language)[0] ?? 'en';
}

/** @param text English, with `{0}`, `{1}`… where the values go */
export function t(text: string, ...values: (string | number)[]): string {
  const translated = Object.hasOwn(translations, text) ? (translations[text] ?? text) : text;
  return translated.replace(/\{(\d+)\}/g, (whole, index) => String(values[Number(index)] ?? whole));
}

/** @param fraction digits after the decimal separator */
export function number(value: number, fraction = 0): string {
  return value.toLocaleString(locale, { minimumFractionDigits: fraction, maximumFractionDigits: fraction });
}
