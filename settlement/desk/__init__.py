"""What operators decide about merchants: holds, reserves, rebates, subsidies, accounts, bank days."""
