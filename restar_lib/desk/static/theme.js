// Follows Airflow's own light and dark switch, which keeps its choice in this origin's storage; else the system's.
"use strict";
(() => {
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function follow() {
    let chosen = null;
    try {
      chosen = window.localStorage.getItem("theme");
    } catch {
      // Storage may be forbidden; the system's choice is good enough.
    }
    const dark = chosen === "dark" || (chosen !== "light" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  }

  follow();
  system.addEventListener("change", follow);
  window.addEventListener("storage", follow);
})();
