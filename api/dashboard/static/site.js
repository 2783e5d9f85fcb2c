// The page of the site: kept up to date by one stream.
import { Chart } from "./chart.js";
import { countDown, installAnswers } from "./dispatch.js";
import { installSwitches } from "./switches.js";
import { installStop, showStop } from "./estop.js";
import { arrange, showParts } from "./morph.js";
import { follow } from "./stream.js";
import { localise, said } from "./times.js";

const headline = () => document.getElementById("headline").dataset;
let chart = null;
let announced = headline().said;
let awaySince = null;

function show({ html, lists, points }) {
  showParts(html);
  for (const [id, ids] of Object.entries(lists)) arrange(id, ids, html);
  countDown();
  chart?.push(points);
  showStop(headline().state);
  announce();
}

/** Read the sentence aloud when what it begins with changes, not at each watt. */
function announce() {
  const { said: now } = headline();
  if (now === announced) return;
  announced = now;
  document.getElementById("announce").textContent = now;
}

function showLink(trouble) {
  const link = document.getElementById("link");
  if (trouble) awaySince ??= new Date();
  else awaySince = null;
  const text = trouble ? `${trouble} since ${said(awaySince)}` : "live";
  link.className = trouble ? "tag bad" : "tag good";
  link.querySelector(".sign").textContent = trouble ? "✕" : "●";
  if (link.querySelector(".word").textContent !== text) link.querySelector(".word").textContent = text;
  document.body.classList.toggle("old", Boolean(trouble));
}

function installSpans() {
  const buttons = [...document.querySelectorAll("[data-minutes]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      chart?.load(Number(button.dataset.minutes));
    });
  }
}

async function drawChart() {
  chart = await Chart.draw();
  await chart.load(Number(document.querySelector('[data-minutes][aria-pressed="true"]').dataset.minutes));
}

installSwitches(() => {
  localise(document);
  chart?.colour();
  chart?.reload();
});
installSpans();
installStop();
installAnswers();
localise(document);
showStop(headline().state);
follow("/stream", { onNews: show, onLink: showLink });
drawChart().catch((error) => {
  document.getElementById("chart-text").textContent = `The chart cannot be drawn (${error.message}).`;
});
