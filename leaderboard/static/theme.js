"use strict";
// Runs before the page is drawn: the theme that was chosen here before, else what the system prefers.
(function () {
  const root = document.documentElement;
  const key = "sgpbench-theme";
  const order = ["auto", "light", "dark"];
  let chosen = "auto";
  try { chosen = localStorage.getItem(key) || "auto"; } catch (error) { chosen = "auto"; } // no storage: not remembered
  if (!order.includes(chosen)) chosen = "auto";

  function apply() {
    if (chosen === "auto") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", chosen);
    const button = document.getElementById("theme");
    if (button) {
      button.textContent = "Theme: " + chosen;
      button.hidden = false;
    }
  }

  apply();
  document.addEventListener("DOMContentLoaded", function () {
    apply();
    document.getElementById("theme").addEventListener("click", function () {
      chosen = order[(order.indexOf(chosen) + 1) % order.length];
      try { localStorage.setItem(key, chosen); } catch (error) { /* not remembered */ }
      apply();
    });
  });
})();
