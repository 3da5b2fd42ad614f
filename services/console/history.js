/** The last two minutes of a figure, as far as this page has seen them, and their drawing. */
import { s } from './dom.js';

const SAMPLES = 120;

export class History {
  #samples = [];
  #least;

  /** `least`: what fills the drawing when nothing larger was seen, so that noise looks like noise. */
  constructor(least) {
    this.#least = least;
  }

  /** null: not known at the moment. */
  add(value) {
    this.#samples.push(value);
    if (this.#samples.length > SAMPLES) this.#samples.shift();
  }

  /** `name` and `show` make the text for those who do not see it. */
  draw(name, show) {
    const known = this.#samples.filter((value) => value !== null);
    const highest = Math.max(...known);
    const most = Math.max(highest, this.#least);
    const from = SAMPLES - this.#samples.length;
    let pen = 'M';
    const path = this.#samples
      .map((value, i) => {
        if (value === null) {
          pen = 'M';
          return '';
        }
        const step = `${pen}${from + i} ${(27 - (value / most) * 25).toFixed(1)}`;
        pen = 'L';
        return step;
      })
      .join('');
    const last = this.#samples.at(-1) ?? null;
    const said =
      known.length === 0
        ? 'not known'
        : `now ${last === null ? 'not known' : show(last)}, highest ${show(highest)}`;
    return s(
      'svg',
      {
        viewBox: `0 0 ${SAMPLES} 28`,
        preserveAspectRatio: 'none',
        class: 'history',
        role: 'img',
        'aria-label': `${name} of the last two minutes: ${said}`,
      },
      s('path', { d: path === '' ? 'M0 27' : path }),
    );
  }
}
