document.querySelector("a.button").hash = location.hash;
