"""Log in, choose a project, overview; and the pages for refusals."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from apps.core import live
from apps.core.activity import recent
from apps.core.errors import NotFound, Unauthorized
from apps.core.views import PageView, is_fragment, safe_path
from apps.dashboard import overview, palette
from apps.dashboard.context import THEME_COOKIE, THEMES
from apps.dashboard.forms import LogInForm
from apps.dashboard.shell import CLEARED, tasks
from apps.projects import middleware as session
from apps.projects.models import User
from apps.projects.operations import authenticate
from apps.projects.throttle import TooSoon

A_YEAR = 365 * 86400


@method_decorator([never_cache, sensitive_post_parameters("password")], name="dispatch")
class LogIn(View):
    """User name, password and domain; afterwards to `?next=` when that is a page of ours, or to the overview."""

    template_name = "dashboard/login.html"

    def get(self, request):
        if request.ctx is not None:
            return HttpResponseRedirect(self.next())
        return self.show(LogInForm())

    def post(self, request):
        form = LogInForm(request.POST)
        if not form.is_valid():
            return self.show(form, 422)
        try:
            user = authenticate(
                form.cleaned_data["username"],
                form.cleaned_data["password"],
                domain_name=form.cleaned_data["domain"],
                address=request.META.get("REMOTE_ADDR") or "",
            )
            ctx = session.log_in(request, user)
        except TooSoon as error:
            form.add_error(None, error.message)
            return self.show(form, error.status)
        except Unauthorized:
            ctx = None
        if ctx is None:
            form.add_error(None, "User name or password is wrong.")
            return self.show(form, 401)
        return with_theme(HttpResponseRedirect(self.next(), status=303), user.theme, request)

    def next(self) -> str:
        asked = self.request.POST.get("next") or self.request.GET.get("next", "")
        return safe_path(self.request, asked) or redirect("overview").url

    def show(self, form, status: int = 200) -> HttpResponse:
        asked = self.request.POST.get("next") or self.request.GET.get("next", "")
        context = {"form": form, "next": safe_path(self.request, asked)}
        return render(self.request, self.template_name, context, status=status)


@require_POST
def log_out(request):
    if request.ctx is not None:
        user_id = request.ctx.user_id
        session.log_out(request)
        live.recheck(user_id)
    return HttpResponseRedirect(redirect("login").url, status=303)


class SwitchProject(PageView):
    """The browser works in another project from now on; it starts at the overview there."""

    http_method_names = ["post"]
    needs_project = False

    def post(self, request):
        try:
            ctx = session.switch_project(request, request.POST.get("project", ""))
        except NotFound:
            messages.error(request, "You are not in that project any more.")
        else:
            live.recheck(ctx.user_id)
        return HttpResponseRedirect(redirect("overview").url, status=303)


def with_theme(response: HttpResponse, theme: str, request) -> HttpResponse:
    response.set_cookie(THEME_COOKIE, theme, max_age=A_YEAR, samesite="Lax", secure=request.is_secure())
    return response


@require_POST
def theme(request):
    """Light, dark or as the system; remembered by the browser and, for people who are logged in, by the account."""
    wanted = request.POST.get("theme", "")
    if wanted not in THEMES:
        return HttpResponse("theme is light, dark or system", status=400, content_type="text/plain")
    if request.ctx is not None:
        User.objects.filter(pk=request.ctx.user_id).update(theme=wanted)
    if is_fragment(request):
        return with_theme(HttpResponse(status=204), wanted, request)
    back = safe_path(request, request.headers.get("Referer", "")) or redirect("overview").url
    return with_theme(HttpResponseRedirect(back, status=303), wanted, request)


class Overview(PageView):
    template_name = "dashboard/overview.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(**overview.of(self.ctx), activity=recent(self.ctx), **kwargs)


class ShellCounts(PageView):
    """The numbers of navigation and strip, for open pages whose project changed."""

    template_name = "components/shell_counts.html"


class Tasks(PageView):
    """The task drawer. POST puts the failed ones away."""

    template_name = "dashboard/tasks.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(**tasks(self.ctx, self.request.session), **kwargs)

    def post(self, request):
        request.session[CLEARED] = timezone.now().isoformat()
        return self.get(request)


class Palette(PageView):
    def get(self, request):
        return JsonResponse({"items": palette.items(self.ctx, request.GET.get("q", ""))})


# --- pages for refusals; API paths answer for themselves ---------------------------------------------


def csrf_failure(request, reason=""):
    reason = "The page was too old to be sent, or cookies are off. Load it again, then repeat what you did."
    return render(request, "403.html", {"reason": reason}, status=403)


def forbidden(request, exception):
    return render(request, "403.html", {"reason": str(exception)}, status=403)


def not_found(request, exception):
    return render(request, "404.html", {"reason": ""}, status=404)


def failed(request):
    """Something is broken: the page makes no query and names the request, which the log knows."""
    request.ctx = None
    return render(request, "500.html", status=500)
