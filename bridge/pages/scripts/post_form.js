// A field named "submit" would stand in for the form's own method.
HTMLFormElement.prototype.submit.call(document.forms[0]);
