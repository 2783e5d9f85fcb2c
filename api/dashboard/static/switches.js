// The two switches at the top: light or dark, and in which zone times are told.
import { isUtc, localZone, setUtc } from "./times.js";

const THEME = "barq-theme";

/** Make the switches work. `changed` is called after either. */
export function installSwitches(changed) {
  installTheme(changed);
  installZone(changed);
}

function installTheme(changed) {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = document.documentElement.dataset.theme || (system.matches ? "dark" : "light");
    const wanted = shown === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = wanted;
    localStorage.setItem(THEME, wanted);
    changed();
  });
  system.addEventListener("change", changed);
}

function installZone(changed) {
  const button = document.getElementById("zone");
  const label = () => {
    button.textContent = `Times in ${isUtc() ? "UTC" : localZone()}`;
    button.title = isUtc() ? `Switch to ${localZone()}` : "Switch to UTC";
  };
  button.hidden = false;
  button.disabled = localZone() === "UTC";
  button.addEventListener("click", () => {
    setUtc(!isUtc());
    label();
    changed();
  });
  label();
}
