// Before the first paint, and so no module: the theme that was chosen, where one was.
try {
  const chosen = localStorage.getItem("leaseway-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing shows the system's theme.
}
