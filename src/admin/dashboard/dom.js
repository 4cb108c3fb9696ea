/* The page's nodes. Whatever comes from a worker becomes text, never markup: there is no innerHTML anywhere. */

/** A new element; `attributes` of undefined are left out, children are nodes or texts. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (value !== undefined) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Sets a node's text where it changed, so that nothing is laid out, or read aloud, again for nothing. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setState(node, state) {
  if (node.dataset.state !== state) node.dataset.state = state;
}

/** Has `parent` hold just these children, in this order, and moves only those that are not in their place. */
export function setChildren(parent, children) {
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}
