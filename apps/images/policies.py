from apps.core.policy import ADMIN, MEMBER, READER, declare

declare(
    {
        "get_images": READER,
        "get_image": READER,
        "add_image": MEMBER,
        "publicize_image": ADMIN,
        "delete_image": MEMBER,
    }
)
