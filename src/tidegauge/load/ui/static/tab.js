// Locust's tabs can hold tables only. While one of ours is chosen, this shows its view of our page in a frame below.

(() => {
  const PREFIX = "tidegauge-";
  const views = new Map(window.templateArgs.extended_tabs.filter(({ key }) => key.startsWith(PREFIX))
    .map(({ key, title }) => [title, key.slice(PREFIX.length)]));
  const frame = document.createElement("iframe");
  frame.id = "tidegauge";
  frame.style.cssText = "border:0;width:100%;height:80vh;display:block";
  frame.addEventListener("load", () => {
    new ResizeObserver(() => { frame.style.height = `${frame.contentDocument.body.offsetHeight + 1}px`; })
      .observe(frame.contentDocument.body);
  });

  function place() {
    const chosen = document.querySelector('[role="tab"][aria-selected="true"]');
    const view = chosen === null ? undefined : views.get(chosen.textContent);
    if (view === undefined) {
      frame.remove(); // nobody looks: nobody asks
    } else if (!frame.isConnected || frame.dataset.view !== view) {
      frame.dataset.view = view;
      frame.title = chosen.textContent;
      frame.src = `./tidegauge?view=${view}`;
      if (!frame.isConnected) chosen.closest("main > *").append(frame); // below the tabs, as wide as their tables
    }
  }

  new MutationObserver(place).observe(document.getElementById("root"), {
    subtree: true, childList: true, attributes: true, attributeFilter: ["aria-selected"],
  });
  place();
})();
