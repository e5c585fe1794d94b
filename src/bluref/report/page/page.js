"use strict";
// Names and figures are in the page already; this only moves what is there.
(() => {
  const all = (where, what) => [...where.querySelectorAll(what)];
  const viewers = all(document, ".viewer").map(asViewer);
  let active = viewers[0];

  function asViewer(root) {
    const stage = root.querySelector(".stage");
    const divide = root.querySelector(".divide");
    const flicker = root.querySelector(".flicker");
    const label = root.querySelector(".label.right");
    const place = () => stage.style.setProperty("--at", divide.value + "%");
    // Held, the input covers all; let go, nothing of it: both in the same place.
    const flick = (held) => {
      stage.classList.add("flick");
      stage.style.setProperty("--at", held ? "100%" : "0%");
      flicker.classList.toggle("held", held);
    };
    const slide = () => { stage.classList.remove("flick"); place(); };
    const own = { root, stage, flick };

    divide.addEventListener("input", slide);
    divide.addEventListener("pointerdown", slide);
    root.addEventListener("pointerenter", () => { active = own; });
    root.addEventListener("focusin", () => { active = own; });

    flicker.addEventListener("pointerdown", (event) => {
      flicker.setPointerCapture(event.pointerId);
      flick(true);
    });
    for (const end of ["pointerup", "pointercancel", "blur"]) {
      flicker.addEventListener(end, () => { if (flicker.classList.contains("held")) flick(false); });
    }
    flicker.addEventListener("contextmenu", (event) => event.preventDefault());
    flicker.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      flick(true);
    });
    flicker.addEventListener("keyup", (event) => {
      if (event.key === " " || event.key === "Enter") { event.preventDefault(); flick(false); }
    });

    const choices = all(root, ".choice button");
    const pictures = all(root, ".after");
    for (const button of choices) {
      button.addEventListener("click", () => {
        for (const other of choices) other.setAttribute("aria-pressed", String(other === button));
        pictures.forEach((picture, n) => picture.classList.toggle("on", n === Number(button.dataset.right)));
        label.textContent = button.textContent;
      });
    }

    const shown = root.querySelector(".show-trust");
    const opacity = root.querySelector(".opacity");
    const veil = () => {
      opacity.disabled = !shown.checked;
      stage.classList.toggle("veiled", shown.checked);
      stage.style.setProperty("--veil", String(opacity.value / 100));
    };
    shown.addEventListener("change", veil);
    opacity.addEventListener("input", veil);
    place();
    veil();
    return own;
  }

  const wantsF = (event) =>
    event.key.toLowerCase() === "f" && !event.ctrlKey && !event.metaKey && !event.altKey && active;
  document.addEventListener("keydown", (event) => { if (wantsF(event) && !event.repeat) active.flick(true); });
  document.addEventListener("keyup", (event) => { if (wantsF(event)) active.flick(false); });

  for (const heading of all(document, "th[data-key]")) {
    heading.querySelector("button").addEventListener("click", () => {
      const table = heading.closest("table");
      const column = [...heading.parentNode.children].indexOf(heading);
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of all(table, "th[aria-sort]")) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.children[column].dataset.value;
      const order = (a, b) => (column === 0 ? value(a).localeCompare(value(b)) : value(a) - value(b));
      const rows = all(table, "tbody tr").sort((a, b) => (down ? order(b, a) : order(a, b)));
      table.tBodies[0].append(...rows);
    });
  }

  for (const button of all(document, ".copy")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copies);
      const said = button.parentNode.querySelector(".copied");
      try {
        await navigator.clipboard.writeText(source.textContent);
        said.textContent = "Copied";
      } catch {
        // No clipboard for this file: select it, so that a keystroke copies it.
        getSelection().selectAllChildren(source);
        said.textContent = document.execCommand("copy") ? "Copied" : "Selected: copy it now";
      }
      setTimeout(() => { said.textContent = ""; }, 2500);
    });
  }

  const theme = document.querySelector(".theme");
  theme.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme
      || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  });
})();
