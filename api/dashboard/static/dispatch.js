// Dispatch instructions: how long until each is due, and the buttons that answer them.
import { installDialog, post } from "./estop.js";

const OTHERWISE = "Try again in a moment, or use barq dispatch.";
const list = document.getElementById("instructions");
const trouble = document.getElementById("told-trouble");
const dialog = document.getElementById("refuse-dialog");

/** Make the buttons work, where this person has them, and count down. */
export function installAnswers() {
  setInterval(countDown, 1000);
  countDown();
  if (!dialog) return;
  installDialog(dialog, OTHERWISE);
  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-answer]");
    if (button?.dataset.answer === "refuse") askWhy(button.dataset.id);
    else if (button) acknowledge(button);
  });
}

/** Say for each that is not kept yet how many seconds are left. */
export function countDown() {
  for (const place of list.querySelectorAll("[data-due]")) {
    const left = Math.ceil((new Date(place.dataset.due) - Date.now()) / 1000);
    const text = left > 0 ? `in ${said(left)}` : "now";
    if (place.textContent !== text) place.textContent = text;
  }
}

function said(seconds) {
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

function askWhy(id) {
  dialog.querySelector("form").dataset.action = `/api/v1/dispatch/${encodeURIComponent(id)}/refuse`;
  dialog.querySelector("h2").textContent = `Refuse instruction ${id}?`;
  dialog.showModal();
}

async function acknowledge(button) {
  button.disabled = true;
  trouble.textContent = "";
  trouble.textContent = await post(
    `/api/v1/dispatch/${encodeURIComponent(button.dataset.id)}/acknowledge`,
    {},
    OTHERWISE,
  );
  button.disabled = false;
}
