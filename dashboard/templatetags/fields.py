"""A form field with its label, help and error in one word (hop 10)."""

from __future__ import annotations

from typing import Any, Final

from django import forms, template
from django.forms import BoundField

register = template.Library()
_OPTION_LOOKS: Final = {"checkbox": "checkbox checkbox-primary", "radio": "radio radio-primary"}


@register.inclusion_tag("parts/field.html")
def field(
    bound: BoundField, extra_class: str = "", label: str = "", optional: bool = True
) -> dict[str, Any]:
    """A form field with label, help and error; Django ties them together by aria-describedby."""
    widget = bound.field.widget  # the form's own copy
    shape = "line" if isinstance(widget, forms.CheckboxInput) else "box"
    if isinstance(widget, forms.CheckboxSelectMultiple | forms.RadioSelect):
        shape = "options"
        widget.attrs["class"] = _OPTION_LOOKS[widget.input_type]
    return {
        "field": bound,
        "shape": shape,
        "label": label or bound.label,
        "control": bound.as_widget(attrs=_attributes(widget, extra_class)),
        "show_optional": optional and not bound.field.required and shape == "box",
        "hidden": bound.is_hidden,
    }


def _attributes(widget: forms.Widget, extra_class: str) -> dict[str, str | bool]:
    if isinstance(widget, forms.CheckboxSelectMultiple | forms.RadioSelect):
        return {}
    if isinstance(widget, forms.CheckboxInput):
        css = "checkbox checkbox-primary"
    elif isinstance(widget, forms.Select):
        css = "select"
    elif isinstance(widget, forms.Textarea):
        css = "textarea"
    else:
        css = "input"
    if isinstance(widget, forms.EmailInput | forms.PasswordInput):
        # The label says it already, and stays when something is typed.
        return {"class": f"{css} {extra_class}".strip(), "placeholder": ""}
    return {"class": f"{css} {extra_class}".strip()}
