// The emergency stop and its release: each asks for a reason before it is done.

/** Make the buttons work, where this person has them. */
export function installStop() {
  for (const name of ["estop", "release"]) {
    const button = document.getElementById(name);
    const dialog = document.getElementById(`${name}-dialog`);
    if (!button || !dialog) continue;
    button.addEventListener("click", () => dialog.showModal());
    installDialog(dialog, "On a machine of the site: barq estop --reason ...");
  }
}

/** Make a dialog that asks for a reason send it, and say what came of it; `otherwise` if the site does not answer. */
export function installDialog(dialog, otherwise) {
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    dialog.querySelector("form").reset();
    dialog.querySelector(".trouble").textContent = "";
  });
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(dialog, event.target, otherwise);
  });
}

/** Offer what can be done now: a stop, or while one stands its release. */
export function showStop(state) {
  const isStopped = state === "stop";
  document.getElementById("estop")?.toggleAttribute("hidden", isStopped);
  document.getElementById("release")?.toggleAttribute("hidden", !isStopped);
}

async function send(dialog, form, otherwise) {
  const trouble = dialog.querySelector(".trouble");
  const button = form.querySelector("button.stop");
  const reason = form.elements.reason.value.trim();
  button.disabled = true;
  trouble.textContent = "";
  const failed = await post(form.dataset.action, { reason }, otherwise);
  button.disabled = false;
  if (failed) trouble.textContent = failed;
  else dialog.close();
}

/** Send something. What is wrong, "" if nothing is. */
export async function post(action, body, otherwise) {
  try {
    const answer = await fetch(action, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return answer.ok ? "" : await told(answer);
  } catch {
    return `The site does not answer. ${otherwise}`;
  }
}

async function told(answer) {
  const problem = await answer.json().catch(() => ({}));
  return [problem.detail ?? `The site answers ${answer.status}`, problem.remedy].filter(Boolean).join("; ");
}
