"""Who is signed in: an opaque signed cookie on their side, ids on ours."""
