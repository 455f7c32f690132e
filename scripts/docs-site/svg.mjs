/** What a terminal shows, as `tmux capture-pane -e` gives it, as a picture: an SVG with the rows of text in a window. */

const CELL = { width: 8.43, height: 18 };
const MARGIN = 16;
const COLOURS = { 31: '#ff6b68', 32: '#5fd38d', 33: '#e5c07b', 34: '#61afef', 35: '#c678dd', 36: '#56b6c2' };
const PLAIN = { colour: '#d7dae0', bold: false, dim: false, inverse: false };

/** Rows of escape sequences → an SVG. */
export const toSvg = (rows, columns) => {
  const width = columns * CELL.width + 2 * MARGIN;
  const height = rows.length * CELL.height + 2 * MARGIN;
  const lines = rows.flatMap((row, at) => runsOf(row).map((run) => drawRun(run, MARGIN + at * CELL.height)));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<rect width="100%" height="100%" rx="8" fill="#16181d"/>
<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">
${lines.join('\n')}
</g>
</svg>
`;
};

const escapeXml = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

const drawRun = ({ text, column, style }, top) => {
  const x = MARGIN + column * CELL.width;
  const colour = style.inverse ? '#16181d' : style.colour;
  const back = style.inverse
    ? `<rect x="${x}" y="${top}" width="${[...text].length * CELL.width}" height="${CELL.height}" fill="${style.colour}"/>`
    : '';
  const look = `${style.bold ? ' font-weight="bold"' : ''}${style.dim ? ' fill-opacity="0.55"' : ''}`;
  return `${back}<text x="${x.toFixed(1)}" y="${top + 14}" fill="${colour}"${look}>${escapeXml(text)}</text>`;
};

/** Parts of a row that look alike. Links (OSC 8) and other sequences are passed over. */
const runsOf = (row) => {
  const runs = [];
  let style = PLAIN;
  let column = 0;
  for (const [, sgr, other, text] of row.matchAll(/\u001b\[([\d;]*)m|(\u001b\][^\u001b]*\u001b\\|\u001b[ -/]*[0-~])|([^\u001b]+)/g)) {
    if (sgr !== undefined) {
      style = sgr.split(';').reduce(applyCode, style);
    } else if (other === undefined) {
      runs.push({ text, column, style });
      column += [...text].length;
    }
  }
  return runs.filter(({ text, style: { inverse } }) => inverse || text.trim() !== '');
};

const applyCode = (style, code) => {
  const number = Number(code);
  if (number === 0) {
    return PLAIN;
  }
  const changes = { 1: { bold: true }, 2: { dim: true }, 7: { inverse: true }, 22: { bold: false, dim: false }, 27: { inverse: false } };
  return { ...style, ...(COLOURS[number] ? { colour: COLOURS[number] } : number === 39 ? { colour: PLAIN.colour } : changes[number]) };
};
