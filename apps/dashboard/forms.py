from django import forms


class LogInForm(forms.Form):
    username = forms.CharField(
        label="User name",
        max_length=255,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autofocus": True, "autocapitalize": "none"}
        ),
    )
    password = forms.CharField(
        max_length=4096, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )
    domain = forms.CharField(
        max_length=64, initial="Default", widget=forms.TextInput(attrs={"autocomplete": "organization"})
    )
