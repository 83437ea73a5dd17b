"""Pages of an instance's console: screen, text, log; and the page that a console's URL opens for anybody who has it."""

from django.http import HttpResponse
from django.urls import path, reverse
from django.views.generic import TemplateView

from apps.core.api import base_url, json_response
from apps.core.errors import CloudError, NotFound, Unavailable
from apps.core.policy import allowed
from apps.core.views import PageView, refusal_page
from apps.instances import consoles
from apps.instances.models import Instance
from apps.instances.views import InstancePage

SOCKET = "/ws/console"  # see apps.instances.consumers
LINES = (100, 500, 2000)


class InstanceConsole(InstancePage):
    """The guest's screen. Context beside the instance:

    `kind` ("screen"), `ticket_url` (POST there for a ticket), `socket_url` (open it with the ticket), `is_off` (the
    guest has nothing to show; the page offers Start), `may_open` (the role allows it).
    """

    template_name = "instances/console.html"
    kind = tab = consoles.SCREEN

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        return context | {
            "kind": self.kind,
            "ticket_url": reverse("console_ticket", args=[self.instance.pk, self.kind]),
            "socket_url": SOCKET,
            "is_off": self.instance.host_id is None or self.instance.status in consoles.GUEST_OFF,
            "may_open": allowed(self.ctx, "os_compute_api:os-remote-consoles"),
        }


class InstanceConsoleText(InstanceConsole):
    """The guest's serial line in a terminal. Context as for the screen, `kind` is "serial"."""

    template_name = "instances/console_text.html"
    kind = tab = consoles.SERIAL

    def render_to_response(self, context, **kwargs):
        response = super().render_to_response(context, **kwargs)
        response.allow_inline_styles = True  # xterm.js makes a style sheet for its colours and cell sizes
        return response


class InstanceLog(InstancePage):
    """What the guest wrote to its serial line. `?lines=500` (100, 500, 2000 or `all`), `?download` for a file.

    Context: `log` (text without terminal codes), `error` (why there is none, with the hop), `lines`, `choices`.
    """

    template_name = "instances/log.html"
    tab = "log"

    def get(self, request, *args, **kwargs):
        context = self.get_context_data(**kwargs)
        if "download" not in request.GET or context["error"]:
            return self.render_to_response(context)
        response = HttpResponse(context["log"], content_type="text/plain; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="{self.instance.pk}.log"'
        return response

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        asked = self.request.GET.get("lines", "")
        lines = None if asked == "all" or "download" in self.request.GET else LINES[1]
        if asked.isdecimal() and int(asked) in LINES:
            lines = int(asked)
        log, error = "", ""
        try:
            log = consoles.plain(consoles.console_log(self.ctx, self.instance, lines))
        except CloudError as refusal:
            self.record(refusal)
            error = refusal.message
        return context | {"log": log, "error": error, "lines": lines or "all", "choices": (*LINES, "all")}


class ConsoleTicket(PageView):
    """POST: JSON `{"ticket", "url"}`, or `{"error"}` with the refusal's status.

    The ticket opens the websocket once within 60 s; `url` is a page that does so, for another window or person.
    """

    http_method_names = ("post",)
    audit = ("instance", "console")

    def post(self, request, pk, kind):
        try:
            if kind not in consoles.PAGES:
                raise NotFound(f"There is no {kind} console.")
            instance = Instance.objects.get_for(self.ctx, pk)
            ticket = consoles.issue(self.ctx, instance, kind)
        except CloudError as error:
            self.record(error)
            return json_response({"error": error.message}, error.status)
        return json_response({"ticket": ticket, "url": base_url(request) + consoles.page_path(kind, ticket)})


class ConsoleStandalone(TemplateView):
    """The page of a console's URL, `/console/novnc?token=...`: no log-in, the ticket is enough.

    Looking at the page does not spend the ticket; its script opens the websocket with it. Context: `kind`,
    `instance` (None when the ticket is worthless), `socket_url`.
    """

    template_name = "dashboard/console_standalone.html"
    kind = consoles.SCREEN

    def get(self, request, *args, **kwargs):
        try:
            return super().get(request, *args, **kwargs)
        except Unavailable as error:
            return refusal_page(request, error)

    def get_context_data(self, **kwargs):
        value = consoles.peek(self.request.GET.get("token", ""))
        instance = None
        if value and value["kind"] == self.kind:
            instance = (
                Instance.objects.exclude(status=Instance.Status.DELETED).filter(pk=value["instance"]).first()
            )
        return super().get_context_data(kind=self.kind, instance=instance, socket_url=SOCKET, **kwargs)

    def render_to_response(self, context, **kwargs):
        response = super().render_to_response(context, **kwargs)
        response.allow_inline_styles = self.kind == consoles.SERIAL
        return response


console_urls = [
    path("instances/<uuid:pk>/console/", InstanceConsole.as_view(), name="instance_console"),
    path("instances/<uuid:pk>/console/text/", InstanceConsoleText.as_view(), name="instance_console_text"),
    path("instances/<uuid:pk>/log/", InstanceLog.as_view(), name="instance_log"),
    path("instances/<uuid:pk>/console/<str:kind>/ticket/", ConsoleTicket.as_view(), name="console_ticket"),
    path("console/novnc", ConsoleStandalone.as_view(), name="console_novnc"),
    path("console/serial", ConsoleStandalone.as_view(kind=consoles.SERIAL), name="console_serial"),
]
