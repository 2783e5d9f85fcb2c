// Before anything is drawn.
"use strict";
(() => {
  // The theme that this browser was told to use; without one, that of the system.
  document.documentElement.dataset.theme = localStorage.getItem("barq-theme") ?? "";

  // Bokeh makes style elements: each gets the nonce without which the page's policy refuses them.
  const { nonce } = document.currentScript;
  const make = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const element = make(name, options);
    if (name === "style") element.nonce = nonce;
    return element;
  };
})();
