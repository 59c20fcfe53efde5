/**
 * Makes an element. Strings are always set as text, so nothing from a token or a server becomes markup.
 *
 * @param {string} name the tag, with classes after dots: `p.notice`
 * @param {Record<string, string | boolean>} [attributes] `true` sets an empty attribute, `false` none
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function el(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split('.')
  return fill(document.createElement(tag), classes, attributes, children)
}

/** Makes an SVG element. */
export function svg(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split('.')
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), classes, attributes, children)
}

/** Returns the element with this id, which must exist. */
export function byId(id) {
  return document.getElementById(id)
}

function fill(element, classes, attributes, children) {
  if (classes.length > 0) element.setAttribute('class', classes.join(' '))
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children)
  return element
}
