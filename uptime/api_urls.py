"""The REST API, version 1. A final slash may be left out."""

from __future__ import annotations

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update
from django.urls import URLPattern, URLResolver, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from alerts.api import ChannelViewSet, DeliveryViewSet
from checks.api import CheckViewSet, IncidentViewSet
from checks.heartbeats.api import HeartbeatViewSet
from clients.api import MeView, NoSuchRoute
from clients.schema import ApiKeyScheme

__all__ = ["ApiKeyScheme", "urlpatterns"]

# The page brings a style element of its own; scripts stay as strict as everywhere.
docs = csp_update({"style-src": [SELF, UNSAFE_INLINE]})(
    SpectacularSwaggerSplitView.as_view(url_name="api-schema")
)

pings = HeartbeatViewSet.as_view({"get": "list"})
ping_key = HeartbeatViewSet.as_view({"post": "rotate"})

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("checks", CheckViewSet, basename="api-check")
router.register("incidents", IncidentViewSet, basename="api-incident")
router.register("channels", ChannelViewSet, basename="api-channel")
router.register("deliveries", DeliveryViewSet, basename="api-delivery")

urlpatterns: list[URLPattern | URLResolver] = [
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", docs, name="api-docs"),
    re_path(r"^me/?$", MeView.as_view(), name="api-me"),
    re_path(r"^checks/(?P<pk>[0-9]{1,18})/pings/?$", pings, name="api-pings"),
    re_path(r"^checks/(?P<pk>[0-9]{1,18})/ping-key/?$", ping_key, name="api-ping-key"),
    *router.urls,
    re_path(r"", NoSuchRoute.as_view(), name="api-nothing"),
]
