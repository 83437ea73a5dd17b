"""Forms that know who asks."""

from django import forms

from apps.core.context import Context


class CloudForm(forms.Form):
    """A form of the portal: `self.ctx` is who fills it in, for choices and limits."""

    def __init__(self, *args, ctx: Context, **kwargs):
        self.ctx = ctx
        super().__init__(*args, **kwargs)
