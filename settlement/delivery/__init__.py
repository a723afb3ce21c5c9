"""Files to the bank and answers from it: a channel's few plain acts, and the rules of when to use which."""
