print("loading")
raise TypeError("the module failed")
