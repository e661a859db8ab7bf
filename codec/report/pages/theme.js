/* The switch between light and dark; without a choice, what the system says. */
"use strict";

const Theme = {
  listeners: [],
  system: matchMedia("(prefers-color-scheme: dark)"),
  chosen: null,

  get dark() {
    return document.documentElement.dataset.theme === "dark";
  },

  apply() {
    document.documentElement.dataset.theme = this.chosen ?? (this.system.matches ? "dark" : "light");
    const button = document.getElementById("theme");
    if (button) button.textContent = this.dark ? "☀" : "☾";
    this.listeners.forEach((listener) => listener());
  },

  toggle() {
    this.chosen = this.dark ? "light" : "dark";
    this.apply();
  },

  start() {
    this.system.addEventListener("change", () => this.apply());
    document.getElementById("theme").addEventListener("click", () => this.toggle());
    this.apply();
  },
};
Theme.apply();
