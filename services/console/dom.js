/**
 * Elements from functions, and a page that changes in place: `patch` makes a live container look like a new
 * one and touches only what differs, so that focus, selection and scrolling stay where the person has
 * them. Text is always text: no markup is ever parsed.
 */

const SVG = 'http://www.w3.org/2000/svg';

/** `h('td', { class: 'number' }, '12')`; a property that is a function listens to the event of its name. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for drawings. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== false));
  return element;
}

/** Makes the children of `live` those of `children`. Listeners stay with the elements that stay. */
export function patch(live, ...children) {
  const next = document.createDocumentFragment();
  next.append(...children.flat(Infinity).filter((child) => child !== null && child !== false));
  patchChildren(live, next);
}

function patchChildren(live, next) {
  const wanted = [...next.childNodes];
  wanted.forEach((node, i) => {
    const there = live.childNodes[i];
    if (there === undefined) live.append(node);
    else if (isSameKind(there, node)) patchNode(there, node);
    else live.replaceChild(node, there);
  });
  while (live.childNodes.length > wanted.length) live.lastChild.remove();
}

/** `data-key` marks elements that must not stand in for another one. */
function isSameKind(a, b) {
  return (
    a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.dataset?.key === b.dataset?.key
  );
}

function patchNode(live, next) {
  if (live.nodeType === Node.TEXT_NODE) {
    if (live.data !== next.data) live.data = next.data;
    return;
  }
  for (const { name } of [...live.attributes]) {
    // What the person opened stays open.
    if (!next.hasAttribute(name) && name !== 'open') live.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (live.getAttribute(name) !== value) live.setAttribute(name, value);
  }
  patchChildren(live, next);
}
