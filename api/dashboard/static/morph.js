// Changing the page in place: what has focus keeps it, and nothing that stayed the same is touched.
import { localise } from "./times.js";

/** The one element that this HTML of our own templates is. */
export function made(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  localise(template.content);
  return template.content.firstElementChild;
}

/** Make `old` like `fresh`. */
export function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
  } else if (old.nodeType === Node.ELEMENT_NODE) {
    morphAttributes(old, fresh);
    morphChildren(old, fresh);
  } else if (old.data !== fresh.data) {
    old.data = fresh.data;
  }
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function morphChildren(old, fresh) {
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  after.forEach((child, i) => (i < before.length ? morph(before[i], child) : old.append(child)));
  before.slice(after.length).forEach((child) => child.remove());
}

/** Bring the parts of the page up to date: elements by their ids. */
export function showParts(html) {
  for (const [id, text] of Object.entries(html)) {
    const old = document.getElementById(id);
    if (old) morph(old, made(text));
  }
}

/** Have the element `listId` hold the elements with these ids in this order; new ones are made from `html`. */
export function arrange(listId, ids, html) {
  const list = document.getElementById(listId);
  const focused = document.activeElement;
  const wanted = new Set(ids);
  for (const child of [...list.children]) {
    if (!wanted.has(child.id)) child.remove();
  }
  ids.forEach((id, i) => {
    const child = document.getElementById(id) ?? made(html[id]);
    if (list.children[i] !== child) list.insertBefore(child, list.children[i] ?? null);
  });
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}
