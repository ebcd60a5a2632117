(() => {
  "use strict";

  const render = (root, data, host) => {
    /* oxlint-disable-next-line no-unused-expressions -- the view's own script stands here */
    __RENDER__;
  };

  /* What the page around the view says: the book, Colab, JupyterLab, VS Code, and else the reader's system. */
  const theme = () => {
    const page = document.documentElement;
    const body = document.body.dataset;
    const named = page.dataset.theme || page.getAttribute("theme");
    if (named === "dark" || named === "light") return named;
    if (body.jpThemeLight) return body.jpThemeLight === "false" ? "dark" : "light";
    if (body.vscodeThemeKind) return body.vscodeThemeKind.includes("dark") ? "dark" : "light";
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  };

  const mount = (host) => {
    const view = JSON.parse(host.querySelector('script[type="application/json"]').textContent);
    const root = host.attachShadow({ mode: "open" });
    try {
      root.innerHTML = `<style>${view.css}</style>${view.html}`;
      render(root, view.data, host);
    } catch (error) {
      root.innerHTML =
        '<slot name="fallback"></slot>'; /* the static fallback is better than half a view */
      console.error(error);
    }
    const follow = () => host.setAttribute("data-view-theme", theme());
    const watch = new MutationObserver(follow);
    watch.observe(document.documentElement, {
      attributes: true,
      attributeFilter: ["data-theme", "theme"],
    });
    watch.observe(document.body, {
      attributes: true,
      attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"],
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
    for (const kind of ["keydown", "keypress", "keyup"])
      host.addEventListener(kind, (event) => event.stopPropagation());
    follow();
  };

  for (const host of document.querySelectorAll('[data-lab-view="__KEY__"]'))
    if (!host.shadowRoot) mount(host);
})();
