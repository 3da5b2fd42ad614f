/**
 * What must hold on every page of the console, looked at from inside of it. Text for the browser: each
 * function returns what is wrong, as sentences.
 */
({
  /** WCAG AA: 4.5 to 1, for all text that is shown; what cannot be used at the moment is exempt. */
  contrast() {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
    const rgb = (color) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([r, g, b]) => {
      const [x, y, z] = [r, g, b].map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (element) => {
      for (let at = element; at !== null; at = at.parentElement) {
        const color = rgb(getComputedStyle(at).backgroundColor);
        if (color[3] > 0) return color;
      }
      return [255, 255, 255];
    };
    const wrong = new Set();
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const element = node.parentElement;
      if (node.data.trim() === '' || element.closest('[disabled], noscript, script') !== null)
        continue;
      if (!element.checkVisibility()) continue;
      const style = getComputedStyle(element);
      const color = element instanceof SVGElement ? style.fill : style.color;
      const [a, b] = [light(rgb(color)), light(behind(element))].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) wrong.add(`${node.data.trim()}: contrast ${ratio.toFixed(2)}`);
    }
    return [...wrong];
  },

  /** Everything one can use has a name, every drawing a text, every head cell a scope. */
  names() {
    const wrong = [];
    const shown = (element) => element.outerHTML.slice(0, 80);
    for (const element of document.querySelectorAll('a, button')) {
      if (element.textContent.trim() === '') wrong.push(`no name: ${shown(element)}`);
    }
    for (const element of document.querySelectorAll('input, select')) {
      if (element.labels.length === 0) wrong.push(`no label: ${shown(element)}`);
    }
    for (const element of document.querySelectorAll('img:not([alt])')) wrong.push(shown(element));
    for (const element of document.querySelectorAll('svg')) {
      if (!element.hasAttribute('aria-label')) wrong.push(`no text: ${shown(element)}`);
    }
    for (const element of document.querySelectorAll('th:not([scope])')) {
      wrong.push(`no scope: ${shown(element)}`);
    }
    if (document.querySelectorAll('h1').length !== 1) wrong.push('not one h1');
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    if (new Set(ids).size !== ids.length) wrong.push('an id is there twice');
    return wrong;
  },

  /** The page itself never scrolls sideways; a table inside may. */
  width() {
    const { scrollWidth } = document.documentElement;
    // On a phone the window grows with what is too wide; the screen does not.
    const width = Math.min(innerWidth, screen.width);
    return scrollWidth <= width ? [] : [`${scrollWidth} wide on a screen of ${width}`];
  },
});
