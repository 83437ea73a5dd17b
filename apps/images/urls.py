from django.db.models import Q
from django.urls import path

from apps.core import navigation
from apps.images.models import Image
from apps.images.views import ImageList

urlpatterns = [path("images/", ImageList.as_view(), name="images")]

navigation.entry(
    "Compute",
    "Images",
    "images",
    "disc",
    rows=lambda ctx: Image.objects.visible_to(ctx).filter(os_hidden=False),
    errors=Q(status=Image.Status.KILLED),
    order=20,
)
navigation.kind(Image, "Image", "disc", list_url="images")
