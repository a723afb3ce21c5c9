"""What merchants get: nets of many nights, holds, rebates, subsidies, days that move."""
