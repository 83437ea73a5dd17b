"""Identity: who there is, where they belong, what they may do. Ids are 32 lower-case hex digits."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.utils import timezone

from apps.core.context import Context
from apps.core.errors import NotFound


def new_id() -> str:
    return uuid.uuid4().hex


class IdentityQuerySet(models.QuerySet):
    """Administrators see everybody; all others see where they are themselves."""

    def visible_to(self, ctx: Context):
        return self if ctx.is_admin else self.mine(ctx)

    def get_for(self, ctx: Context, pk):
        try:
            return self.visible_to(ctx).get(pk=pk)
        except self.model.DoesNotExist:
            raise NotFound(f"Could not find {self.model._meta.model_name}: {pk}.") from None


class Identity(models.Model):
    id = models.CharField(max_length=64, primary_key=True, default=new_id, editable=False)
    description = models.TextField(blank=True, default="")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)
    extra = models.JSONField(default=dict, blank=True)  # attributes we do not know, kept for the caller

    class Meta:
        abstract = True

    @property
    def kind(self) -> str:
        return self._meta.model_name

    def __str__(self) -> str:
        return self.name


class DomainQuerySet(IdentityQuerySet):
    def mine(self, ctx: Context):
        return self.filter(pk__in=(ctx.user_domain_id, ctx.project_domain_id))


class Domain(Identity):
    name = models.CharField(max_length=64, unique=True)

    objects = DomainQuerySet.as_manager()


class ProjectQuerySet(IdentityQuerySet):
    def mine(self, ctx: Context):
        return self.filter(pk__in=Assignment.objects.filter(user_id=ctx.user_id).values("project_id"))


class Project(Identity):
    name = models.CharField(max_length=64)
    domain = models.ForeignKey(Domain, models.PROTECT, related_name="projects")
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    tags = models.JSONField(default=list, blank=True)
    tokens_valid_after = models.DateTimeField(null=True, blank=True)  # older tokens are revoked

    objects = ProjectQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["domain", "name"], name="project_name_in_domain")]

    @property
    def project_id(self) -> str:
        """A project belongs to itself: policy and events ask every object whose it is."""
        return self.pk


class Role(Identity):
    """A role implies the next: admin, manager, member, reader; service stands alone."""

    name = models.CharField(max_length=255, unique=True)

    IMPLIES = {
        "admin": ("admin", "manager", "member", "reader"),
        "manager": ("manager", "member", "reader"),
        "member": ("member", "reader"),
    }

    @classmethod
    def with_implied(cls, names) -> frozenset[str]:
        return frozenset(implied for name in names for implied in cls.IMPLIES.get(name, (name,)))


class UserQuerySet(IdentityQuerySet):
    def mine(self, ctx: Context):
        return self.filter(pk=ctx.user_id)


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):
    def get_by_natural_key(self, name):
        return self.get(name=name, domain_id="default")


class User(AbstractBaseUser, Identity):
    name = models.CharField(max_length=255)
    domain = models.ForeignKey(Domain, models.PROTECT, related_name="users")
    email = models.EmailField(blank=True, default="")
    full_name = models.CharField(max_length=255, blank=True, default="")
    default_project = models.ForeignKey(Project, models.SET_NULL, null=True, blank=True, related_name="+")
    password_changed_at = models.DateTimeField(default=timezone.now)
    tokens_valid_after = models.DateTimeField(null=True, blank=True)
    theme = models.CharField(max_length=8, default="system")

    objects = UserManager()
    USERNAME_FIELD = "id"

    class Meta:
        constraints = [models.UniqueConstraint(fields=["domain", "name"], name="user_name_in_domain")]


class Assignment(models.Model):
    """`user` has `role` in `project`, or, without a project, in the whole system."""

    user = models.ForeignKey(User, models.CASCADE, related_name="assignments")
    role = models.ForeignKey(Role, models.CASCADE, related_name="assignments")
    project = models.ForeignKey(Project, models.CASCADE, null=True, blank=True, related_name="assignments")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role", "project"], name="assigned_once"),
            models.UniqueConstraint(
                fields=["user", "role"], condition=Q(project=None), name="assigned_once_in_system"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} in {self.project or 'the system'}"


class RevokedToken(models.Model):
    """A token, or a browser session, that ended before its time; dropped when it would have expired."""

    audit_id = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.audit_id
