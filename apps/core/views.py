"""The frame of every page: a page, a list, a form that asks for an operation, a button that does."""

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.template.loader import render_to_string, select_template
from django.utils.functional import cached_property
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.generic import TemplateView

from apps.core import counting, events, filters
from apps.core.context import Context
from apps.core.errors import CloudError, DriverError, Forbidden, NotFound, Unavailable

AUDITED = (403, 409, 413)  # refusals that leave a trace: policy, quota, capacity, conflict


def is_fragment(request) -> bool:
    """True when a script asks, not the browser for a whole page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"


def safe_path(request, url: str) -> str:
    """`url` when it leads into this portal, else ""."""
    good = url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())
    return url if url and good else ""


def log_in_first(request) -> HttpResponse:
    """To the log-in page, and back afterwards to the page that was asked for, or that held the form."""
    if request.method == "GET" and not is_fragment(request):
        back = request.get_full_path()
    else:
        came_from = urlsplit(safe_path(request, request.headers.get("Referer", "")))
        back = came_from.path + (f"?{came_from.query}" if came_from.query else "")
    url = resolve_url(settings.LOGIN_URL) + (f"?{urlencode({'next': back})}" if back else "")
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=401, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def refusal_page(request, error: CloudError) -> HttpResponse:
    """The page that says why: `reason` is the message. An unknown status looks like a 403."""
    template = select_template([f"{error.status}.html", "403.html"])
    return HttpResponse(template.render({"reason": error.message}, request), status=error.status)


class PageView(TemplateView):
    """A page for people who are logged in; `self.ctx` is who asks. A CloudError becomes the page that says why."""

    ctx: Context
    needs_project = True
    audit = (
        "",
        "",
    )  # (model, action) under which a refusal is recorded; the model's default is the URL's name

    def dispatch(self, request, *args, **kwargs):
        if request.ctx is None:
            return log_in_first(request)
        self.ctx = request.ctx
        if self.needs_project and not self.ctx.project_id:
            return refusal_page(
                request, Forbidden("You are in no project yet. An administrator can add you to one.")
            )
        try:
            return super().dispatch(request, *args, **kwargs)
        except DriverError as error:
            return refusal_page(request, Unavailable(f"A part of the cloud does not answer: {error}"))
        except CloudError as error:
            self.record(error)
            return refusal_page(request, error)

    def record(self, error: CloudError, name: str = "") -> None:
        """Write down that it was refused; the operation has been rolled back by now."""
        if error.status in AUDITED:
            model, action = self.audit
            match = self.request.resolver_match
            events.refused(
                self.ctx,
                error,
                model=model or (match.url_name if match else ""),
                action=action or self.request.method.lower(),
                name=name,
                object_id=self.kwargs.get("pk", ""),
            )


# --- lists ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """One thing that a list knows about its rows.

    `lookup` is what `name:value` in the filter means (see `core.filters`), `sort` the columns to order by,
    `text` says that plain words look here too, `hint` what the filter box suggests ("active, error").
    """

    name: str
    lookup: filters.Lookup | None = None
    sort: str | tuple[str, ...] = ()
    text: bool = False
    hint: str = ""

    def order(self, descending: bool) -> list[str]:
        names = (self.sort,) if isinstance(self.sort, str) else self.sort
        return [f"-{n}".replace("--", "") if descending else n for n in names]


class ListPage(PageView):
    """A list that is filtered, sorted and paged by its URL: `?q=status:error&sort=-age&per_page=100&page=2`.

    Two queries and those of `rows` and `prepare`, whatever the number of rows. With `?ids=a,b` the answer is
    only these rows, each rendered by `row_template` (as `row`); those that are gone or no longer match the
    filter are left out.

    Context: page, rows, total, matched, filter_text, fields (for the filter box), sort, per_page, page_sizes,
    noun, nouns, views [{"label", "q", "count", "current"}].
    """

    columns: tuple[Column, ...] = ()
    default_sort = ""
    views: tuple[tuple[str, str], ...] = ()  # (label, filter) of what people look for every day
    row_template = ""
    noun, nouns = "row", "rows"
    PAGE_SIZES = (50, 100, 200)

    def rows(self) -> QuerySet:
        """All that `self.ctx` may see, with what the page needs of other tables."""
        raise NotImplementedError

    def prepare(self, rows: list) -> list:
        """The rows of one page with whatever else the template shows, in a constant number of queries."""
        return rows

    @cached_property
    def filter_text(self) -> str:
        return self.request.GET.get("q", "").strip()[:500]

    @cached_property
    def condition(self) -> Q:
        return self.meaning(self.filter_text)

    def meaning(self, text: str) -> Q:
        """What the filter `text` finds."""
        lookups = {c.name: c.lookup for c in self.columns if c.lookup}
        texts = [c.lookup for c in self.columns if c.text and c.lookup]

        def words(value: str) -> Q:
            found = filters.NOTHING
            for lookup in texts:
                found |= lookup(value)
            return found

        return filters.condition(filters.parse(text, lookups), lookups, words)

    @cached_property
    def sort(self) -> str:
        asked = self.request.GET.get("sort", "")
        return asked if self._column(asked) else self.default_sort

    def _column(self, sort: str) -> Column | None:
        return next((c for c in self.columns if c.sort and c.name == sort.removeprefix("-")), None)

    @cached_property
    def per_page(self) -> int:
        asked = self.request.GET.get("per_page", "")
        return int(asked) if asked in map(str, self.PAGE_SIZES) else self.PAGE_SIZES[0]

    def ordered(self, rows: QuerySet) -> QuerySet:
        column = self._column(self.sort)
        return rows.order_by(*(column.order(self.sort.startswith("-")) if column else ()), "pk")

    def get(self, request, *args, **kwargs):
        if "ids" in request.GET:
            return self.fragments(request.GET["ids"].split(",")[: self.PAGE_SIZES[-1]])
        return super().get(request, *args, **kwargs)

    def fragments(self, ids: list[str]) -> HttpResponse:
        everything = self.rows()
        key, wanted = everything.model._meta.pk, []
        for text in ids:
            try:
                wanted.append(key.to_python(text))
            except ValidationError:
                continue  # no id of ours: such a row does not exist
        found = self.ordered(everything.filter(self.condition, pk__in=wanted))
        shared = self.row_context()
        return HttpResponse(
            "".join(
                render_to_string(self.row_template, {**shared, "row": row}, self.request)
                for row in self.prepare(list(found))
            )
        )

    def row_context(self) -> dict:
        """What `row_template` needs beside the row."""
        return {}

    def get_context_data(self, **kwargs):
        everything = self.rows()
        matching = everything.filter(self.condition) if self.filter_text else everything
        asked = {"total": everything, "matched": matching}
        numbers = counting.count(
            asked | {f"view {text}": everything.filter(self.meaning(text)) for _, text in self.views}
        )
        views = [
            {
                "label": label,
                "q": text or None,
                "count": numbers.pop(f"view {text}"),
                "current": text == self.filter_text,
            }
            for label, text in self.views
        ]
        paginator = Paginator(self.ordered(matching), self.per_page)
        paginator.__dict__["count"] = numbers["matched"]  # known already
        page = paginator.get_page(self.request.GET.get("page"))
        page.object_list = self.prepare(list(page.object_list))
        return super().get_context_data(
            **numbers,
            **self.row_context(),
            views=views,
            page=page,
            rows=page.object_list,
            filter_text=self.filter_text,
            fields="|".join(f"{c.name}:{c.hint}" for c in self.columns if c.lookup),
            sort=self.sort,
            per_page=self.per_page,
            page_sizes=self.PAGE_SIZES,
            noun=self.noun,
            nouns=self.nouns,
            **kwargs,
        )


# --- operations -------------------------------------------------------------------------------------


class OperationView(PageView):
    """A form that asks for one operation.

    `operate(**cleaned_data)` calls it and may raise CloudError, which is shown in the form (at `error.field` when
    the form has it) with status 422. Context: form, refused (the sentence above the errors).
    """

    form_class: type
    success_url = ""  # name or path; or override `done`
    success_message = ""
    refused = "Nothing was done."

    def operate(self, **fields):
        raise NotImplementedError

    def done(self, result) -> HttpResponse:
        """Where the browser goes after `operate` returned `result`."""
        return HttpResponseRedirect(resolve_url(self.success_url), status=303)

    def get_initial(self) -> dict:
        return {}

    def get_form(self):
        bound = (
            {"data": self.request.POST, "files": self.request.FILES} if self.request.method == "POST" else {}
        )
        return self.form_class(ctx=self.ctx, initial=self.get_initial(), **bound)

    def get_context_data(self, **kwargs):
        kwargs.setdefault("form", None)
        if kwargs["form"] is None:
            kwargs["form"] = self.get_form()
        return super().get_context_data(refused=self.refused, **kwargs)

    def post(self, request, *args, **kwargs):
        form = self.get_form()
        if not form.is_valid():
            return self.show_again(form)
        try:
            result = self.operate(**form.cleaned_data)
        except CloudError as error:
            if isinstance(error, NotFound) and not error.field:
                raise  # what the page is about
            self.record(error, name=str(form.cleaned_data.get("name") or ""))
            # The field says itself what the network API's words begin with.
            said = error.message.removeprefix(f"Invalid input for {error.field}. Reason: ")
            form.add_error(error.field if error.field in form.fields else None, said)
            return self.show_again(form, error)
        if self.success_message:
            messages.success(request, self.success_message)
        return self.done(result)

    def show_again(self, form, error: CloudError | None = None) -> HttpResponse:
        context = self.get_context_data(form=form, error=error, **self.kwargs)
        return self.render_to_response(context, status=422)


class ActionView(PageView):
    """A button: POST asks for one operation and goes back to the page that held it.

    `act()` calls the operation and returns what to say, or "". A script gets the messages as a fragment, with
    the status of the refusal when it was refused.
    """

    http_method_names = ["post"]
    back = ""  # name or path, when the browser does not say where it came from
    refused = "Nothing was done."

    def act(self) -> str:
        raise NotImplementedError

    def post(self, request, *args, **kwargs):
        status = 200
        try:
            said = self.act()
        except CloudError as error:
            if isinstance(error, NotFound) and not is_fragment(request):
                raise
            self.record(error)
            status = error.status
            messages.error(request, f"{self.refused}\n{error.message}")
        else:
            if said:
                messages.success(request, said)
        if is_fragment(request):
            return HttpResponse(render_to_string("components/toasts.html", {}, request), status=status)
        came_from = safe_path(request, request.POST.get("next") or request.headers.get("Referer", ""))
        return HttpResponseRedirect(came_from or resolve_url(self.back or "overview"), status=303)
