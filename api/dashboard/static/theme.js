// Before anything is drawn: the theme that this browser was told to use; without one, that of the system.
"use strict";
document.documentElement.dataset.theme = localStorage.getItem("barq-theme") ?? "";
