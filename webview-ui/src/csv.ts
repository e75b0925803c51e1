/** Tables as text for other programs (RFC 4180). */

/** @param rows null: a value that is not there, which is left empty; an empty text is quoted, so that the two stay apart */
export function csv(names: readonly string[], rows: readonly (readonly (string | null)[])[]): string {
  return [names, ...rows].map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

function field(value: string | null): string {
  if (value === null) return '';
  return value === '' || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
