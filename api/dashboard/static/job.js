// The page of a job: looked at again every two seconds while somebody sees it.
import { installSwitches } from "./switches.js";
import { morph } from "./morph.js";
import { localise } from "./times.js";

const EVERY_MS = 2_000;

async function renew() {
  if (document.hidden) return;
  const answer = await fetch(location.pathname, { cache: "no-store" }).catch(() => null);
  document.body.classList.toggle("old", !answer?.ok);
  if (answer?.redirected) location.reload();
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
  localise(fresh);
  morph(document.getElementById("main"), fresh);
}

installSwitches(() => localise(document));
localise(document);
setInterval(renew, EVERY_MS);
