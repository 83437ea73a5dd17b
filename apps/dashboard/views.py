"""Log in, choose a project, overview; and the pages for refusals."""

from django.shortcuts import render


def csrf_failure(request, reason=""):
    return render(request, "403.html", {"reason": "The form was too old. Load the page again."}, status=403)
